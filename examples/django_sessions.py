"""A Django site and Tidewire in one process: whoever is signed in to Django may listen.

pip install django
python -m examples.django_sessions migrate
python -m examples.django_sessions createsuperuser
tidewire serve examples.django_sessions:app

Then open http://127.0.0.1:8000/ in two tabs, and change your name in one of them.
"""

import os
import secrets
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import django
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth import get_user, logout
from django.contrib.auth.decorators import login_required
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.db import IntegrityError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import include, path
from django.views.decorators.http import require_POST
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from tidewire import Identity, Tidewire, user_update

HOME = """
<p>Hello, <b id="name">{{ user.username }}</b></p>
<form method="post" action="/rename">
  {% csrf_token %}<input name="name"><button>Rename</button>
</form>
<form method="post" action="/logout">{% csrf_token %}<button>Sign out</button></form>
<script>
  new EventSource("/api/sse").addEventListener("userUpdate", (event) => {
    document.getElementById("name").textContent = JSON.parse(event.data).data.name;
  });
</script>
"""
LOGIN = """<form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>"""

# What stands in your settings.py.
settings.configure(
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    LOGIN_REDIRECT_URL="/",
    LOGIN_URL="/accounts/login/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DJANGO_DATABASE")
            or Path(tempfile.gettempdir()) / "tidewire-django.sqlite3",
        }
    },
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.contrib.auth.context_processors.auth"],
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {"home.html": HOME, "registration/login.html": LOGIN},
                    )
                ],
            },
        }
    ],
)
django.setup()


# Who is asking: Django's session, and Django's user.

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


def signed_in(session_key: str | None) -> Identity | None:
    """Who is signed in with this session; None for a visitor."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    try:
        # Asks for more than the session: that the user is active, and has the same password
        # as when the session began.
        user = get_user(request)
        if not user.is_authenticated:
            return None
        return Identity(
            str(user.pk),
            roles=frozenset(user.groups.values_list("name", flat=True)),
            permissions=frozenset({"publish"} if user.is_staff else ()),
        )
    finally:
        # The stream stays open for long. The database connection does not.
        connections.close_all()


async def django_session(request: HTTPConnection) -> Identity | None:
    """What Tidewire asks for each request that is made to it."""
    session_key = request.cookies.get(settings.SESSION_COOKIE_NAME)
    if session_key is None:
        return None
    return await sync_to_async(signed_in, thread_sensitive=False)(session_key)


tidewire = Tidewire(session=django_session)


# The views. They run in threads; `async_to_sync` goes to the event loop that serves them, which
# is the one that Tidewire runs on.


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """A page that shows the user's name, as it is now."""
    return render(request, "home.html")


@require_POST
@login_required
def rename(request: HttpRequest) -> HttpResponse:
    """Changes the user's name, and tells all pages that the user has open."""
    user = request.user
    user.username = request.POST["name"]
    event = user_update({"name": user.username}, users=[str(user.pk)])

    def tell() -> None:
        async_to_sync(tidewire.publish)(event)

    try:
        with transaction.atomic():
            # Only what has been committed is told. The change stands even if telling fails.
            transaction.on_commit(tell, robust=True)
            user.save()
    except IntegrityError:
        return HttpResponse("This name is taken.", status=409)
    return redirect("/")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session, and then the streams that were opened with it."""
    user_id = request.user.pk
    logout(request)
    if user_id is not None:
        async_to_sync(tidewire.revoke)(user_id=str(user_id))
    return redirect("/")


urlpatterns = [
    path("", home),
    path("rename", rename),
    path("logout", sign_out),
    path("accounts/", include("django.contrib.auth.urls")),
]

# Tidewire's paths are Tidewire's, and all others are Django's.
app = FastAPI(lifespan=tidewire.lifespan, openapi_url=None)
app.include_router(tidewire.router)
app.mount("/", get_asgi_application())

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
