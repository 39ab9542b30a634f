"""How endpoints answer: with what they make, or with the problem that came up, wherever they are
mounted."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.core.errors import NotFound, RequestError, TidewireError
from tidewire.core.journal import Journal
from tidewire.health.measures import Measures
from tidewire.http.endpoints import Endpoint, Handler
from tidewire.http.gate import client_of, rate_fields, user_of
from tidewire.http.problems import (
    SECURITY_FIELDS,
    MethodNotAllowed,
    UnexpectedError,
    problem_response,
)

FASTAPI_REQUEST_STACK: Final = "fastapi_inner_astack"
"""In the scope: what FastAPI closes only after the answer was sent."""


class Deferred(Response):
    """An answer that may take long, given after everything that the request holds was let go:
    a dependency with a database session, that somebody put before our routes, would otherwise
    keep its connection as long as the stream is open or the poll is held.

    Attributes:
        is_timed: whether the time until it begins says something about the server.
        on_start: called with the status when it begins.
    """

    def __init__(self, answer: ASGIApp, *, is_timed: bool = True) -> None:
        self.is_timed = is_timed
        self.on_start: Callable[[int], None] | None = None
        # Not what a response makes of a body: there is none yet.
        self.background = None
        self.raw_headers = []
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = scope.get(FASTAPI_REQUEST_STACK)
        if held is not None:
            await held.aclose()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if self.on_start is not None:
                    self.on_start(message["status"])
                message = {**message, "headers": [*message["headers"], *self.raw_headers]}
            await send(message)

        await self._answer(scope, receive, send_with_headers)
        if self.background is not None:
            await self.background()


class Answering:
    """How all endpoints answer, and what is noted and counted of that."""

    def __init__(self, journal: Journal, measures: Measures) -> None:
        """Takes where failures are noted, and where answers are counted."""
        self._journal = journal
        self._measures = measures

    def apps(self, endpoints: Sequence[Endpoint]) -> "Iterator[tuple[Endpoint, EndpointApp]]":
        """Endpoints as applications. Each knows what else its path takes."""
        taken = defaultdict[str, list[str]](list)
        for endpoint in endpoints:
            taken[endpoint.path] += endpoint.methods
        for endpoint in endpoints:
            yield (
                endpoint,
                EndpointApp(
                    endpoint.handle,
                    self._journal,
                    self._measures if endpoint.is_counted else None,
                    allow=", ".join(taken[endpoint.path]),
                ),
            )

    async def refused(self, request: Request, error: Exception) -> Response:
        """What is answered to an exception of Starlette's: its own, for a path or a method that is
        not known; or one that the code of an application raised within an endpoint."""
        assert isinstance(error, HTTPException)
        endpoint = request.scope.get("endpoint")
        if isinstance(endpoint, EndpointApp):
            if error.status_code == MethodNotAllowed.status:
                return endpoint.not_allowed(request)
        elif error.status_code == NotFound.status:
            problem = NotFound(f"There is nothing at {request.url.path}.")
            return _refuse(request, problem, self._journal, self._measures)
        # As by FastAPI.
        response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        response.raw_headers += SECURITY_FIELDS
        self._measures.answered(response.status_code, None)
        return response


class EndpointApp:
    """An endpoint as an application of ASGI, which answers problems for whatever is raised."""

    def __init__(
        self, handle: Handler, journal: Journal, measures: Measures | None, *, allow: str
    ) -> None:
        """``allow``: all methods that its path takes, comma-separated."""
        self._allow = allow
        self._handle = handle
        self._journal = journal
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive, send), self._handle)
        await response(scope, receive, send)

    def not_allowed(self, request: Request) -> Response:
        """What is answered to a method that it does not take."""
        problem = MethodNotAllowed(f"{request.url.path} does not take {request.method}.")
        response = _refuse(request, problem, self._journal, self._measures)
        response.headers["allow"] = self._allow
        return response

    async def answer(self, request: Request, handle: Handler) -> Response:
        """What is answered to a request that something handles: the endpoint itself, or what
        somebody has put before it.

        Raises:
            HTTPException: it is for the application to answer.
        """
        began = time.monotonic()
        try:
            response = await handle(request)
            response.raw_headers += SECURITY_FIELDS
        except TidewireError as error:
            note_answer(self._journal, request, error)
            response = problem_response(error)
        except HTTPException:
            raise
        except Exception as error:
            self._journal.note(
                "a request failed",
                error=error,
                endpoint=request.url.path,
                user=user_of(request),
            )
            response = problem_response(UnexpectedError("The server failed. Try again."))
        response.raw_headers += rate_fields(request)
        if self._measures is not None:
            _measure(response, began, self._measures)
        return response


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


def _refuse(
    request: Request, problem: RequestError, journal: Journal, measures: Measures | None
) -> Response:
    # What is not asked of an endpoint.
    if measures is not None:
        measures.answered(problem.status, None)
    journal.note("a request was refused", error=problem, answered=True, method=request.method)
    return problem_response(problem)


def _measure(response: Response, began: float, measures: Measures) -> None:
    # Now, or when the answer begins. `began`: monotonic seconds.
    if isinstance(response, Deferred):
        is_timed = response.is_timed

        def start(status: int) -> None:
            measures.answered(status, time.monotonic() - began if is_timed else None)

        response.on_start = start
    else:
        measures.answered(response.status_code, time.monotonic() - began)
