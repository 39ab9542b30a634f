"""The address of a deployment, as somebody typed it."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tidewire.core.errors import InvalidParameter

PORTS: Final = {"http": 80, "https": 443}
ENDPOINTS: Final = ("/api/realtime/sse", "/api/sse")


@dataclass(frozen=True, slots=True)
class Address:
    """Where Tidewire is to be found.

    Attributes:
        origin: scheme, host and port, as browsers write it.
        prefix: what stands before ``/api/sse``; empty, or begins with a slash.
        host: as in the certificate.
        port: of the connection.
        token: one that stood in the query.
    """

    origin: str
    prefix: str
    host: str
    port: int
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, text: str) -> "Address":
        """Reads an address: of the server, or of its stream, perhaps with ``?token=``.

        Raises:
            InvalidParameter: it is none, or has a password in it.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _wrong() from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise _wrong()
        if "@" in parts.netloc:
            raise InvalidParameter(
                "The address has a user or a password in it, and browsers send none to streams. "
                "Give the address without."
            )
        prefix = parts.path.rstrip("/")
        for endpoint in ENDPOINTS:
            if prefix.endswith(endpoint):
                prefix = prefix.removesuffix(endpoint)
                break
        host = parts.hostname
        written = f"[{host}]" if ":" in host else host
        standard = PORTS[parts.scheme]
        shown = "" if port in (None, standard) else f":{port}"
        token = parse_qs(parts.query).get("token", [None])[0]
        return cls(f"{parts.scheme}://{written}{shown}", prefix, host, port or standard, token)

    @property
    def base(self) -> str:
        """What the paths of the endpoints are added to."""
        return self.origin + self.prefix

    @property
    def encrypted(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.origin.startswith("https:")


def _wrong() -> InvalidParameter:
    # Without the words: there may be a token in them.
    return InvalidParameter("This is not the address of a server. Give one as in http://host:8000.")
