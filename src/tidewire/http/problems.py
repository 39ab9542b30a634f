"""Errors as answers: problems of RFC 9457, for our own routes wherever they are mounted."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from typing import Any, ClassVar, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tidewire.core.errors import Category, NotFound, Recovery, RequestError, TidewireError
from tidewire.core.event import encode_json
from tidewire.core.journal import Journal
from tidewire.health.measures import Measures
from tidewire.http.answers import Answer
from tidewire.http.gate import client_of, rate_fields, user_of
from tidewire.http.params import read_query, wrong_parameter
from tidewire.transports.asgi import problem_headers

MEDIA_TYPE: Final = "application/problem+json"

SECURITY_HEADERS: Final = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
"""On every answer: a browser takes it for what it says it is, and a page
that it opens does not tell others its address, which may hold a token."""

SECURITY_FIELDS: Final = [
    (name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
]
"""The same, as ASGI has them."""


class Problem(Answer):
    """A problem of RFC 9457, with what a client needs to recover. Some have further members,
    such as ``field`` or ``parameter``: where the fault is."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    category: Category
    retryable: bool
    retryAfter: int | None  # noqa: N815 - the name on the wire
    """Milliseconds."""
    recovery: Recovery


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its own, for OpenAPI. With "default", FastAPI does not add
    its own form of a 422, which no route here answers."""
    schema = _problem_schema()
    told: list[int | str] = [*sorted({400, 401, 403, 429, 500, 503, *statuses}), "default"]
    return {
        status: {"description": "A problem", "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in told
    }


@cache
def _problem_schema() -> dict[str, Any]:
    # In full: a reference would lead nowhere in the document of somebody's application.
    return Problem.model_json_schema()


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


class Later(Response):
    """A response whose answer begins some time after it was made.

    Attributes:
        is_timed: whether that time says something about the server.
        on_start: called with the status when the answer begins.
    """

    is_timed = True

    def on_start(self, status: int) -> None:
        """Nobody wants to know, unless somebody puts another function here."""


def problem_route(
    journal: Journal,
    *,
    measures: Measures | None = None,
    straight: bool = False,
    reads: type[BaseModel] | None = None,
) -> type[APIRoute]:
    """A route class whose handlers answer problems for whatever is raised in them.

    Args:
        journal: where failures are noted.
        measures: where answers are counted, but those to probes.
        straight: whether the endpoints make their own answers, of nothing but the request and
            what ``reads`` says. They are called at once where nothing else has to be done for a
            request: to solve such a signature anew each time costs several times what a stream
            does.
        reads: the model of the query that straight endpoints take, if they take one.
    """

    async def told(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.monotonic()
        try:
            response = await answer(request)
            response.raw_headers += SECURITY_FIELDS
        except TidewireError as error:
            response = refused(request, error)
        except RequestValidationError as error:
            response = refused(request, wrong_parameter(error.errors()))
        except HTTPException:
            raise
        except Exception as error:
            journal.note(
                "a request failed",
                error=error,
                endpoint=request.url.path,
                user=user_of(request),
            )
            response = problem_response(UnexpectedError("The server failed. Try again."))
        response.raw_headers += rate_fields(request)
        if measures is not None:
            measure(response, began, measures)
        return response

    def refused(request: Request, error: TidewireError) -> Response:
        note_answer(journal, request, error)
        return problem_response(error)

    class ProblemRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

            async def handle_or_tell(request: Request) -> Response:
                return await told(request, handle)

            return handle_or_tell

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if straight and stands_alone(self, scope):
                response = await told(Request(scope, receive, send), self._answer)
                await response(scope, receive, send)
                return
            try:
                await super().handle(scope, receive, send)
            except HTTPException as error:
                # The method is refused before the handler above is reached.
                response = await exception_answer(journal, measures)(Request(scope), error)
                await response(scope, receive, send)

        async def _answer(self, request: Request) -> Response:
            taken = () if reads is None else (read_query(request, reads),)
            answer: Response = await self.endpoint(request, *taken)
            return answer

    return ProblemRoute


def note_answer(journal: Journal, request: Request, error: TidewireError) -> None:
    """Notes that a request is answered with a problem."""
    # Of those who could not say who they are, where they are is all that is known.
    at = client_of(request) if error.category in ("authentication", "rate_limit") else None
    journal.note(
        "a request was refused",
        error=error,
        answered=True,
        endpoint=request.scope["path"],
        user=user_of(request),
        address=at,
    )


def measure(response: Response, began: float, measures: Measures) -> None:
    """Counts an answer: now, or when it begins. ``began``: monotonic seconds."""
    if isinstance(response, Later):
        is_timed = response.is_timed

        def start(status: int) -> None:
            measures.answered(status, time.monotonic() - began if is_timed else None)

        setattr(response, "on_start", start)  # noqa: B010 - in place of the method
    else:
        measures.answered(response.status_code, time.monotonic() - began)


def exception_answer(
    journal: Journal, measures: Measures | None = None
) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """What answers to what Starlette raises for unknown paths and methods."""

    async def answer(request: Request, error: Exception) -> Response:
        response = await http_exception(request, error)
        if measures is not None:
            measures.answered(response.status_code, None)
        journal.note(
            "a request was refused",
            error=_raised(request, error),
            answered=True,
            method=request.method,
        )
        return response

    return answer


def stands_alone(route: APIRoute, scope: Scope) -> bool:
    """Whether FastAPI has nothing to do for a request but to call the route's endpoint.

    It has where somebody put dependencies before the route or a limit on bodies, or traces
    requests; and nobody knows where it does not say what an included route has become.
    """
    if scope["method"] not in (route.methods or ()) or "fastapi.telemetry" in scope:
        return False
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None:
        return included.original_route is route and _is_bare(included)
    app = scope.get("app")
    return isinstance(app, FastAPI) and route in app.router.routes and _is_bare(route)


def _is_bare(route: Any) -> bool:
    # Whoever looks at requests may have put something around the endpoint.
    called = route.dependant.call is route.endpoint
    return called and not route.dependant.dependencies and route.max_body_size is None


async def http_exception(request: Request, error: Exception) -> Response:
    """What Starlette raises for unknown paths and methods, as a problem."""
    assert isinstance(error, HTTPException)
    raised = _raised(request, error)
    if not isinstance(raised, TidewireError):
        raise error
    response = problem_response(raised)
    response.headers.update(error.headers or {})
    return response


def _raised(request: Request, error: Exception) -> Exception:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return NotFound(f"There is nothing at {request.url.path}.")
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.url.path} does not take {request.method}.")
    return error
