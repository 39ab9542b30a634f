"""CORS (WHATWG Fetch, section 3.3): which pages of other origins may read our answers."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.http.origins import Origins

ALLOWED_METHODS: Final = ("GET", "HEAD", "POST")
ALLOWED_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID")
EXPOSED_HEADERS: Final = (
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Tidewire-Cursor",
)
VARY: Final = (b"vary", b"Origin")
ALLOWANCE: Final = "access-control-allow-"


class Cors(CORSMiddleware):
    """Starlette's, for exact origins; to others it says nothing but that answers vary.

    It adds headers to the start of an answer and leaves the rest alone: streams pass unchanged.
    """

    def __init__(self, app: ASGIApp, *, origins: Origins) -> None:
        super().__init__(
            app,
            allow_methods=ALLOWED_METHODS,
            allow_headers=ALLOWED_HEADERS,
            allow_credentials=True,
            expose_headers=EXPOSED_HEADERS,
        )
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        async def send_varying(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), VARY]
            await send(message)

        await self.app(scope, receive, send_varying)

    def is_allowed_origin(self, origin: str) -> bool:
        return self._origins.allows(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if not self.is_allowed_origin(request_headers["origin"]):
            for name in [name for name in response.headers if name.startswith(ALLOWANCE)]:
                del response.headers[name]
        return response

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        origin = request_headers.get("origin")
        if origin is not None and not self.is_allowed_origin(origin):
            request_headers = Headers()
        await super().send(message, send, request_headers)
