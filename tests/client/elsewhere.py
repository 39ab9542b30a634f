"""A server that is not Tidewire, and answers what it was told to."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple

from tests.waiting import PATIENCE


class Answer(NamedTuple):
    """What it answers; status 0: nothing, until it ends."""

    status: int
    body: str = "<html>Here is something else.</html>"
    headers: Mapping[str, str] = {"Content-Type": "text/html"}


NONE: Final = Answer(0)
ACCEPTED: Final = Answer(
    200, '{"ids":["1-1-abcd"],"durable":true}', {"Content-Type": "application/json"}
)


class Elsewhere:
    """The server.

    Attributes:
        url: its address.
        requests: method and path of all requests, in order.
        keys: their idempotency keys.
        answers: what is answered, in order; the last one to all that follow.
    """

    def __init__(self, url: str, answers: tuple[Answer, ...]) -> None:
        self.url = url
        self.requests: list[str] = []
        self.keys: list[str | None] = []
        self.answers = answers


@contextmanager
def elsewhere(*answers: Answer) -> Iterator[Elsewhere]:
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            number = len(made.requests)
            made.requests.append(f"{self.command} {self.path}")
            made.keys.append(self.headers.get("Idempotency-Key"))
            answer = made.answers[min(number, len(made.answers) - 1)]
            if not answer.status:
                ended.wait(2 * PATIENCE)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        do_GET = do_POST  # noqa: N815 - the name that it is asked by

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Elsewhere(f"http://127.0.0.1:{server.server_port}", answers)
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield made
        finally:
            ended.set()
            server.shutdown()
            serving.join(PATIENCE)
