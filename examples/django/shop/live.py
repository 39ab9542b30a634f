"""Tidewire for this site: whoever is signed in to Django may listen."""

from importlib import import_module

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import connections, transaction
from django.http import HttpRequest
from starlette.requests import HTTPConnection

from tidewire import Event, Identity, Tidewire

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


def signed_in(session_key: str) -> Identity | None:
    """Who has this session; None for a visitor."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    try:
        user = get_user(request)
        if not user.is_authenticated:
            return None
        groups = frozenset(user.groups.values_list("name", flat=True))
        return Identity(str(user.pk), roles=groups)
    finally:
        # The stream stays open for long. The database connection does not.
        connections.close_all()


async def django_session(request: HTTPConnection) -> Identity | None:
    """What Tidewire asks for each request that is made to it."""
    key = request.cookies.get(settings.SESSION_COOKIE_NAME)
    return key and await sync_to_async(signed_in, thread_sensitive=False)(key)


tidewire = Tidewire(session=django_session)


def publish_on_commit(event: Event) -> None:
    """Publishes it when the transaction has committed, and not if it is rolled back."""
    transaction.on_commit(lambda: async_to_sync(tidewire.publish)(event), robust=True)
