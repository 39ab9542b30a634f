"""Tidewire's paths are Tidewire's, and all others are Django's."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
site = get_asgi_application()  # first: what follows needs the settings

from fastapi import FastAPI  # noqa: E402

from shop.live import tidewire  # noqa: E402

app = FastAPI(lifespan=tidewire.lifespan, openapi_url=None)
app.include_router(tidewire.router)
app.mount("/", site)
