"""Endpoints as a router of FastAPI: for applications that include it, and for the document of
OpenAPI. Nothing else here needs FastAPI, which takes as long to load as all the rest."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, Final, cast

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidewire.http.answering import Answering, EndpointApp
from tidewire.http.endpoints import Endpoint, Json, Operation
from tidewire.http.params import Parameters, wrong_parameter
from tidewire.http.problems import MEDIA_TYPE, Problem
from tidewire.version import __version__

ANYWHERE: Final = (400, 401, 403, 429, 500, 503)
"""Statuses of problems that may come from any endpoint."""


def make_router(endpoints: Iterable[Endpoint], answering: Answering) -> APIRouter:
    """All endpoints, for ``app.include_router``."""
    router = APIRouter()
    for endpoint in endpoints:
        _add(router, endpoint, answering)
    return router


def make_document(endpoints: Iterable[Endpoint], answering: Answering) -> Json:
    """What all endpoints are, as OpenAPI 3.1 says it."""
    return get_openapi(
        title="Tidewire",
        version=__version__,
        description="Realtime events that always arrive.",
        # Not those of a router that is in use: somebody may have added to it.
        routes=make_router(endpoints, answering).routes,
    )


def _add(router: APIRouter, endpoint: Endpoint, answering: Answering) -> None:
    said = {} if endpoint.operation is None else _said(endpoint.operation)
    router.add_api_route(
        endpoint.path,
        endpoint.handle,
        methods=[*endpoint.methods],
        include_in_schema=endpoint.operation is not None,
        route_class_override=_route_class(answering.app(endpoint), answering.unrouted),
        **said,
    )


def _said(operation: Operation) -> dict[str, Any]:
    return {
        "summary": operation.summary,
        "tags": [operation.tag],
        "status_code": operation.status,
        # To describe them: what endpoints make is sent as it is.
        "response_model": operation.answer,
        **({} if operation.answer is not None else {"response_class": Response}),
        "responses": {**operation.answers, **_problems(operation)},
        # FastAPI says that it takes a dict, and only looks at its items.
        "openapi_extra": cast(Json, _Taken(operation)),
    }


def _problems(operation: Operation) -> dict[int | str, Json]:
    if operation.problems is None:
        return {}
    # With "default", FastAPI does not add its own form of a 422, which no endpoint here answers.
    told: list[int | str] = [*sorted({*ANYWHERE, *operation.problems}), "default"]
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: {"schema": _problem()}}}
        for status in told
    }


@cache
def _problem() -> Json:
    # In full: a reference would lead nowhere in the document of somebody's application.
    return Problem.model_json_schema()


class _Taken(Mapping[str, Any]):
    """What an operation takes. It is made when somebody asks for the document."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    @cached_property
    def _described(self) -> Json:
        operation, described = self._operation, Json()
        parameters = [
            *_parameters(operation.path, "path"),
            *_parameters(operation.query, "query"),
            *operation.headers,
        ]
        if parameters:
            described["parameters"] = parameters
        if operation.body is not None:
            content = {"application/json": {"schema": operation.body()}}
            described["requestBody"] = {"required": True, "content": content}
        return described

    def __getitem__(self, key: str) -> Any:
        return self._described[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._described)

    def __len__(self) -> int:
        return len(self._described)


def _parameters(model: type[Parameters] | None, place: str) -> Iterator[Json]:
    schema = {} if model is None else model.model_json_schema()
    for name, given in schema.get("properties", {}).items():
        # Where a parameter may be left out, that it is null then says nothing.
        described = {
            key: value for key, value in given.items() if (key, value) != ("default", None)
        }
        yield {
            "name": name,
            "in": place,
            "required": name in schema.get("required", ()),
            "schema": described,
            **({"description": given["description"]} if "description" in given else {}),
        }


def _route_class(
    app: EndpointApp, unrouted: Callable[[Request, HTTPException], Awaitable[Response]]
) -> type[APIRoute]:
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
            methods = self.methods or set()
            if scope["method"] not in methods:
                refused = HTTPException(405, headers={"Allow": ", ".join(methods)})
                response = await unrouted(Request(scope), refused)
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
