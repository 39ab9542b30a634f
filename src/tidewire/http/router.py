"""Endpoints as a router of FastAPI: for applications that include it, and for the document of
OpenAPI. Nothing else here needs FastAPI, which takes as long to load as all the rest."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import cache, cached_property
from inspect import Parameter, Signature
from types import new_class
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidewire.http.answering import Answering, EndpointApp
from tidewire.http.endpoints import Description, Endpoint, Json
from tidewire.http.params import Parameters, wrong_parameter
from tidewire.http.problems import MEDIA_TYPE, Problem
from tidewire.version import __version__

ANYWHERE: Final = (400, 401, 403, 429, 500, 503)
"""Statuses of problems that may come from any endpoint."""


def make_router(endpoints: Sequence[Endpoint], answering: Answering) -> APIRouter:
    """All endpoints, for ``app.include_router``."""
    router = APIRouter()
    for endpoint, app in answering.apps(endpoints):
        _add(router, endpoint, app)
    return router


def make_document(endpoints: Sequence[Endpoint], answering: Answering) -> Json:
    """What all endpoints are, as OpenAPI 3.1 says it."""
    return get_openapi(
        title="Tidewire",
        version=__version__,
        description="Realtime events that always arrive.",
        # Not those of a router that is in use: somebody may have added to it.
        routes=make_router(endpoints, answering).routes,
    )


def _add(router: APIRouter, endpoint: Endpoint, app: EndpointApp) -> None:
    description = endpoint.description
    router.add_api_route(
        endpoint.path,
        _solved(endpoint),
        methods=[*endpoint.methods],
        include_in_schema=description is not None,
        route_class_override=_route_class(app),
        **({} if description is None else _described(description)),
    )


def _solved(endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
    """An endpoint as FastAPI calls it, with the signature by which it describes what stands in
    paths and queries."""

    async def call(request: Request, response: Response, **_: Any) -> Response:
        answer = await endpoint.handle(request)
        # What dependencies have set.
        answer.raw_headers += response.raw_headers
        return answer

    given: dict[str, Any] = {"request": Request, "response": Response}
    if endpoint.description is not None:
        if (model := endpoint.description.in_path) is not None:
            given["in_path"] = Annotated[_built(model), Path()]
        if (model := endpoint.description.in_query) is not None:
            given["in_query"] = Annotated[_built(model), Query()]
    signature = Signature(
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=type_) for name, type_ in given.items()]
    )
    call.__name__, call.__doc__ = endpoint.name, endpoint.handle.__doc__
    setattr(call, "__signature__", signature)  # noqa: B010 - what `inspect` looks at first
    return call


def _built(model: type[Parameters]) -> type[Parameters]:
    # FastAPI takes the members of a model one by one, as they are when it is built.
    return new_class(model.__name__, (model,), {"defer_build": False})


def _described(description: Description) -> dict[str, Any]:
    return {
        "summary": description.summary,
        "tags": [description.tag],
        "status_code": description.status,
        # To describe them: what endpoints make is sent as it is.
        "response_model": description.answer,
        **({} if description.answer is not None else {"response_class": Response}),
        "responses": {**description.answers, **_problems(description)},
        # FastAPI says that it takes a dict, and only looks at its items.
        "openapi_extra": cast(Json, _Extra(description)),
    }


def _problems(description: Description) -> dict[int | str, Json]:
    if description.problems is None:
        return {}
    # With "default", FastAPI does not add its own form of a 422, which no endpoint here answers.
    told: list[int | str] = [*sorted({*ANYWHERE, *description.problems}), "default"]
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: {"schema": _problem()}}}
        for status in told
    }


@cache
def _problem() -> Json:
    # In full: a reference would lead nowhere in the document of somebody's application.
    return Problem.model_json_schema()


class _Extra(Mapping[str, Any]):
    """What FastAPI cannot see of an endpoint: what it reads of a request by itself. The schema of
    a body is made when somebody asks for the document."""

    def __init__(self, description: Description) -> None:
        self._description = description

    @cached_property
    def _described(self) -> Json:
        described = Json()
        if self._description.in_headers:
            described["parameters"] = [*self._description.in_headers]
        if self._description.body is not None:
            content = {"application/json": {"schema": self._description.body()}}
            described["requestBody"] = {"required": True, "content": content}
        return described

    def __getitem__(self, key: str) -> Any:
        return self._described[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._described)

    def __len__(self) -> int:
        return len(self._described)


def _route_class(app: EndpointApp) -> type[APIRoute]:
    """A route that answers problems for whatever is raised, in what somebody has put before the
    endpoint too; and the endpoint at once where nobody has. To solve its signature takes FastAPI
    as long each time as opening a stream."""

    class EndpointRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

            async def solve(request: Request) -> Response:
                try:
                    return await handle(request)
                except RequestValidationError as error:
                    # Of a dependency.
                    raise wrong_parameter(error.errors()) from None

            async def answer(request: Request) -> Response:
                return await app.answer(request, solve)

            return answer

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] not in (self.methods or ()):
                response = app.not_allowed(Request(scope))
                await response(scope, receive, send)
            elif stands_alone(self, scope):
                await app(scope, receive, send)
            else:
                await super().handle(scope, receive, send)

    return EndpointRoute


def stands_alone(route: APIRoute, scope: Scope) -> bool:
    """Whether FastAPI has nothing to do for a request but to call the endpoint of an included
    route.

    It has where somebody put dependencies before it or a limit on bodies, or traces requests; and
    nobody knows where it does not say what the route has become.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    return (
        included is not None
        and included.original_route is route
        # Whoever looks at requests may have put something around the endpoint.
        and included.dependant.call is included.endpoint
        and not included.dependant.dependencies
        and included.max_body_size is None
        and "fastapi.telemetry" not in scope
    )
