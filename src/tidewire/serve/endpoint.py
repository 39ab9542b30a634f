"""Where the endpoints of a server are, by the URL that a user gives for it."""

from urllib.parse import urlsplit


def streams_at(url: str) -> str:
    """The URL of the streams of a server: of one that names them already, itself."""
    if urlsplit(url).path.rstrip("/").endswith("/sse"):
        return url
    return f"{url.rstrip('/')}/api/sse"
