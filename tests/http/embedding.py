"""Tidewire as a part of somebody's application, in both ways, below ``/live``."""

from fastapi import FastAPI
from starlette.applications import Starlette

from tidewire import Tidewire


def included(tidewire: Tidewire) -> FastAPI:
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, prefix="/live")
    return app


def mounted(tidewire: Tidewire) -> Starlette:
    app = Starlette()
    app.mount("/live", tidewire.app)
    return app
