"""The addresses."""

from django.urls import include, path

from shop.views import home, order

urlpatterns = [
    path("", home),
    path("orders", order),
    path("accounts/", include("django.contrib.auth.urls")),
]
