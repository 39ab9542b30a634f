"""Files that browsers load, and keep as long as they have not changed."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from starlette.requests import Request
from starlette.responses import Response


class Asset(NamedTuple):
    """Bytes, and the entity tag (RFC 9110 section 8.8.3) that names them."""

    body: bytes
    etag: str
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Self:
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', media_type)

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The answer to GET or HEAD: 304 to whoever has it. To HEAD a server sends only what
        goes before the body, and the charset of text is added by Starlette."""
        sent = {**headers, "etag": self.etag}
        if is_known(self.etag, request.headers.getlist("if-none-match")):
            return Response(status_code=304, headers=sent)
        return Response(self.body, headers=sent, media_type=self.media_type)


def is_known(etag: str, given: Iterable[str]) -> bool:
    """Whether ``If-None-Match`` names it, by the weak comparison (RFC 9110 section 13.1.2): a
    proxy that compresses weakens tags."""
    tags = (tag.strip() for field in given for tag in field.split(","))
    return any(tag == "*" or tag.removeprefix("W/") == etag for tag in tags)
