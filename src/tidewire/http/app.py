"""The composition root: Tidewire as a router, as an application, and as a lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from tidewire.http.answering import Answering, EndpointApp
from tidewire.http.cors import Cors
from tidewire.http.endpoints import Endpoint
from tidewire.http.once import Once
from tidewire.http.routes.administration import administration_endpoints
from tidewire.http.routes.clients import client_endpoints
from tidewire.http.routes.debugger import debugger_endpoints
from tidewire.http.routes.figures import figure_endpoints
from tidewire.http.routes.module import module_endpoints
from tidewire.http.routes.probes import probe_endpoints
from tidewire.http.routes.publishing import publishing_endpoints
from tidewire.http.routes.reference import reference_endpoints
from tidewire.http.routes.streams import stream_endpoints
from tidewire.http.routes.tokens import token_endpoints
from tidewire.http.service import Service

if TYPE_CHECKING:
    from fastapi import APIRouter


class Tidewire(Service):
    """Realtime events for an application of your own, or on their own.

    tidewire = Tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)          # or app.mount("/live", tidewire.app)
    ...
    await tidewire.publish(notification("Hello", "World", users=["alice"]))
    """

    @cached_property
    def router(self) -> "APIRouter":
        """All endpoints, for ``app.include_router`` of FastAPI."""
        # An application of its own does without.
        from tidewire.http.router import make_router

        return make_router(self._endpoints, self._answering)

    @cached_property
    def app(self) -> Starlette:
        """An application of its own, to run or to mount. Mounted, it starts on first use; give
        `lifespan` to the outer application to stop it in order."""
        reference = reference_endpoints(self._document)
        answering = self._answering
        return Starlette(
            routes=[_route(*each) for each in answering.apps([*self._endpoints, *reference])],
            middleware=[Middleware(Cors, origins=self.gate.origins)],
            exception_handlers={HTTPException: answering.refused},
            lifespan=self.lifespan,
        )

    def openapi(self) -> dict[str, Any]:
        """What the endpoints are, as OpenAPI 3.1 says it: the document at ``/openapi.json``. To
        make it takes a fifth of a second; it is made once."""
        return self._document.get()

    @cached_property
    def _document(self) -> Once[dict[str, Any]]:
        def make() -> dict[str, Any]:
            from tidewire.http.router import make_document

            return make_document(self._endpoints, self._answering)

        return Once(make)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(self.journal, self.measures)

    @cached_property
    def _endpoints(self) -> tuple[Endpoint, ...]:
        return (
            *stream_endpoints(self),
            *publishing_endpoints(self),
            *token_endpoints(self),
            *administration_endpoints(self),
            *figure_endpoints(self),
            *client_endpoints(self),
            *probe_endpoints(self),
            *module_endpoints(),
            *debugger_endpoints(self),
        )

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


def _route(endpoint: Endpoint, app: EndpointApp) -> Route:
    route = Route(endpoint.path, app, methods=endpoint.methods, name=endpoint.name)
    # Starlette adds HEAD to GET. There is no head of a stream without the stream.
    route.methods = {*endpoint.methods}
    return route


def create_app() -> Starlette:
    """The application by the settings in the environment, for ``uvicorn --factory``.

    Raises:
        ConfigurationError: the settings do not describe a server that could run safely.
    """
    return Tidewire().app
