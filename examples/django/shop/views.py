"""The pages."""

from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from shop.live import publish_on_commit
from shop.models import Order
from tidewire import notification


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The page that listens."""
    return render(request, "home.html")


@require_POST
@login_required
def order(request: HttpRequest) -> HttpResponse:
    """Takes an order, and tells the customer's pages, once it is saved."""
    dish = request.POST["dish"]
    try:
        with transaction.atomic():
            event = notification(
                "Thank you", f"{dish}: it is on its way", users=[str(request.user.pk)]
            )
            publish_on_commit(event)
            Order.objects.create(customer=request.user, dish=dish)
    except IntegrityError:
        return HttpResponse("There is none left.", status=409)
    return redirect("/")
