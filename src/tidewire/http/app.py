"""The composition root: Tidewire as a router, as an application, and as a lifespan."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from tidewire.http.cors import Cors
from tidewire.http.problems import exception_answer, problem_route
from tidewire.http.routes.administration import add_administration_routes
from tidewire.http.routes.clients import add_client_routes
from tidewire.http.routes.debugger import add_debugger_routes
from tidewire.http.routes.figures import add_figure_routes
from tidewire.http.routes.module import add_module_route
from tidewire.http.routes.probes import add_probe_routes
from tidewire.http.routes.publishing import add_publishing_routes
from tidewire.http.routes.reference import add_reference_route
from tidewire.http.routes.streams import add_stream_routes
from tidewire.http.routes.tokens import add_token_routes
from tidewire.http.service import Service
from tidewire.version import __version__

NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}


class Tidewire(Service):
    """Realtime events for an application of your own, or on their own.

    tidewire = Tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)          # or app.mount("/live", tidewire.app)
    ...
    await tidewire.publish(notification("Hello", "World", users=["alice"]))
    """

    @cached_property
    def router(self) -> APIRouter:
        """All endpoints, for ``app.include_router``."""
        router = APIRouter(route_class=problem_route(self.journal, measures=self.measures))
        add_stream_routes(router, self)
        add_publishing_routes(router, self)
        add_token_routes(router, self)
        add_administration_routes(router, self)
        add_figure_routes(router, self)
        add_client_routes(router, self)
        add_probe_routes(router, self)
        add_module_route(router, self)
        add_debugger_routes(router, self)
        return router

    @cached_property
    def app(self) -> FastAPI:
        """An application of its own, to run or to mount. Mounted, it starts on first use; give
        `lifespan` to the outer application to stop it in order."""
        app = FastAPI(
            title="Tidewire",
            version=__version__,
            description="Realtime events that always arrive.",
            lifespan=self.lifespan,
            # Their assets would come from another host; there is a page of our own.
            docs_url=None,
            redoc_url=None,
            exception_handlers={HTTPException: exception_answer(self.journal, self.measures)},
            # Not included: there is nothing to add to them, and to find one takes half as long.
            routes=self.router.routes,
            # Whether anybody traces is looked for at each request, if it is not said here.
            telemetry=None if _is_traced() else NO_TELEMETRY,
        )
        add_reference_route(app, self)
        app.add_middleware(Cors, origins=self.gate.origins)
        return app

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Runs from its beginning to its end: as ``FastAPI(lifespan=tidewire.lifespan)``, or
        within a lifespan of your own: ``async with tidewire.lifespan(app): yield``."""
        await self.start_in_time()
        try:
            yield
        finally:
            await self.drain()
            await self.stop()


def _is_traced() -> bool:
    # By the environment, or by code that has set an SDK up.
    return "opentelemetry.sdk" in sys.modules or any(
        name.startswith("OTEL_") for name in os.environ
    )


def create_app() -> FastAPI:
    """The application by the settings in the environment, for ``uvicorn --factory``.

    Raises:
        ConfigurationError: the settings do not describe a server that could run safely.
    """
    return Tidewire().app
