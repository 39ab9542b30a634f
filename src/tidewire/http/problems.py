"""Errors as answers: problems of RFC 9457, for our own routes wherever they are mounted."""

from typing import ClassVar, Final

from pydantic import ConfigDict
from starlette.responses import Response

from tidewire.core.errors import Category, Recovery, RequestError, TidewireError
from tidewire.core.event import encode_json
from tidewire.http.answers import Answer
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
