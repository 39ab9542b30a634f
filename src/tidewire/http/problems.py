"""Errors as answers: problems of RFC 9457, for our own routes wherever they are mounted."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tidewire.core.errors import Category, InvalidParameter, NotFound, RequestError, TidewireError
from tidewire.core.event import encode_json
from tidewire.core.journal import Journal
from tidewire.http.gate import rate_headers
from tidewire.transports.asgi import problem_headers

MEDIA_TYPE: Final = "application/problem+json"

SECURITY_HEADERS: Final = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
"""On every answer: a browser takes it for what it says it is, and a page
that it opens does not tell others its address, which may hold a token."""


class Problem(BaseModel):
    """A problem of RFC 9457, with what a client needs to recover."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    category: str
    retryable: bool
    retryAfter: int | None  # noqa: N815 - the name on the wire
    recovery: str


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its own, for OpenAPI. With "default", FastAPI does not add
    its own form of a 422, which no route here answers."""
    # In full: a reference would lead nowhere in the document of somebody's application.
    schema = Problem.model_json_schema()
    told: list[int | str] = [*sorted({400, 401, 403, 429, 500, 503, *statuses}), "default"]
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in told
    }


def problem_response(error: TidewireError) -> Response:
    """The answer that tells of an error."""
    headers = {**problem_headers(error), **SECURITY_HEADERS}
    return Response(encode_json(error.problem()), error.status, headers)


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method."""

    code = "CLIENT_METHOD_NOT_ALLOWED"
    title = "Method not allowed"
    status = 405
    category: ClassVar[Category] = "client"


class UnexpectedError(TidewireError):
    """A fault in the server itself."""


def parameter_error(error: RequestValidationError) -> InvalidParameter:
    """What FastAPI found wrong with a query or header, as one of ours."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return InvalidParameter(f"{name}: {first['msg']}.", parameter=name)


def problem_route(journal: Journal) -> type[APIRoute]:
    """A route class whose handlers answer problems for whatever is raised in them."""

    class ProblemRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

            async def handle_or_tell(request: Request) -> Response:
                response = await answer(request)
                response.headers.update({**SECURITY_HEADERS, **rate_headers(request)})
                return response

            async def answer(request: Request) -> Response:
                try:
                    return await handle(request)
                except TidewireError as error:
                    return problem_response(error)
                except RequestValidationError as error:
                    return problem_response(parameter_error(error))
                except HTTPException:
                    raise
                except Exception as error:
                    journal.note("a request failed", error=error, endpoint=request.url.path)
                    return problem_response(UnexpectedError("The server failed. Try again."))

            return handle_or_tell

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await super().handle(scope, receive, send)
            except HTTPException as error:
                # The method is refused before the handler above is reached.
                response = await http_exception(Request(scope), error)
                await response(scope, receive, send)

    return ProblemRoute


async def http_exception(request: Request, error: Exception) -> Response:
    """What Starlette raises for unknown paths and methods, as a problem."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(NotFound(f"There is nothing at {request.url.path}."))
    if error.status_code == 405:
        response = problem_response(
            MethodNotAllowed(f"{request.url.path} does not take {request.method}.")
        )
        response.headers.update(error.headers or {})
        return response
    raise error
