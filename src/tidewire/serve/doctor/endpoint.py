"""Whether there is a Tidewire at the address, and whether it works."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tidewire.serve.doctor import mends
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.finding import Finding, failed, passed, warned
from tidewire.serve.doctor.wire import Answer, NoAnswer, Wire

REACHED: Final = "address.reached"
PATH: Final = "address.path"
READY: Final = "address.ready"

HEALTH: Final = "/api/sse/health"
GATEWAY: Final = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers at an address.

    Attributes:
        health: the answer of the health endpoint; None: there was none.
        ready: that of ``/readyz``; None: not asked, or none.
        at_root: whether a Tidewire answers at the same origin without the prefix.
        failure: why there was no answer.
    """

    health: Answer | None
    ready: Answer | None = None
    at_root: bool = False
    failure: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is a Tidewire."""
        return self.health is not None and is_health(self.health)

    @property
    def works(self) -> bool:
        """Whether it accepts and delivers, as it says itself."""
        return (
            self.is_ours
            and self.health is not None
            and self.health.json.get("status") != "unhealthy"
        )


def is_health(answer: Answer) -> bool:
    """Whether an answer is that of the health endpoint."""
    return answer.status == 200 and {"status", "uptime", "connections"} <= answer.json.keys()


async def look(wire: Wire) -> Endpoint:
    """Asks who is there."""
    try:
        health = await wire.ask("GET", HEALTH)
    except NoAnswer as error:
        return Endpoint(None, failure=error.detail)
    if is_health(health):
        try:
            return Endpoint(health, await wire.ask("GET", "/readyz"))
        except NoAnswer:
            return Endpoint(health)
    at_root = False
    if wire.address.prefix:
        try:
            at_root = is_health(await wire.ask("GET", wire.address.origin + HEALTH))
        except NoAnswer:
            at_root = False
    return Endpoint(health, at_root=at_root)


def judge(seen: Endpoint, address: Address) -> list[Finding]:
    """The address, the path, and whether it is ready."""
    health = seen.health
    if health is None:
        return [
            failed(
                REACHED,
                f"Nobody answers at {address.origin}: {seen.failure}.",
                "Start the server or its proxy, and look at the host, the port, the firewall and "
                "DNS.",
            ),
        ]
    measured = {"ms": health.ms, "server": health.headers.get("server")}
    if health.status in GATEWAY or (health.status == 503 and health.code is None):
        return [
            failed(
                REACHED,
                f"A proxy answers, with {health.status}: it does not reach the server.",
                "Start the server, and let the proxy pass to where it listens. nginx:\n"
                "    proxy_pass http://127.0.0.1:8000;\n"
                "Its error log says why it did not get through.",
                measured,
            ),
        ]
    reached = passed(REACHED, f"{address.origin} answers, after {health.ms} ms.", measured)
    if not seen.is_ours:
        return [reached, _wrong_path(health, seen, address)]
    base = address.prefix or "/"
    return [reached, passed(PATH, f"A Tidewire answers at {base}."), _readiness(health, seen.ready)]


def _wrong_path(health: Answer, seen: Endpoint, address: Address) -> Finding:
    measured = {"status": health.status, "contentType": health.headers.get("content-type")}
    if 300 <= health.status < 400:
        target = urlsplit(health.headers.get("location", ""))
        to = f"{target.scheme}://{target.netloc}" if target.netloc else target.path
        return failed(
            PATH,
            f"The address leads on ({health.status}) to {to}. Browsers do not take tokens along, "
            "and preflights are not led on at all.",
            "Give clients the address that it leads to.",
            measured,
        )
    if health.code is not None and health.json.get("detail", "").startswith("There is nothing at"):
        return failed(
            PATH,
            f"A Tidewire answers, but it does not know this path: {health.json['detail']}"
            f"{_without_prefix(seen, address)}",
            mends.prefix(address.prefix) if address.prefix else mends.prefix("/live"),
            measured,
        )
    what = "an HTML page" if "html" in health.headers.get("content-type", "") else health.told
    return failed(
        PATH,
        f"Somebody else answers at {health.path}: {what} ({health.status})."
        f"{_without_prefix(seen, address)}",
        "Give the address with the path at which Tidewire is mounted (app.mount, include_router), "
        "or without one if it is not; and let the proxy pass that path on:\n"
        "nginx:\n    location /api/ { proxy_pass http://127.0.0.1:8000; }",
        measured,
    )


def _without_prefix(seen: Endpoint, address: Address) -> str:
    return f" Without {address.prefix} there is one." if seen.at_root else ""


def _readiness(health: Answer, ready: Answer | None) -> Finding:
    status = str(health.json["status"])
    measured = {"status": status, "readyz": None if ready is None else ready.status}
    if status == "degraded":
        return warned(
            READY,
            "The server works without its Redis: events wait in a spool, and reach other nodes "
            "later.",
            "Bring Redis back. See redis.reached, on the machine of the server.",
            measured,
        )
    if status == "unhealthy":
        told = "" if ready is None or ready.code is None else f" {ready.json.get('detail', '')}"
        return failed(
            READY,
            f"The server runs, and can neither accept nor deliver.{told}",
            "Run `tidewire doctor` on its machine, with its environment: most often it does not "
            "reach its Redis (TIDEWIRE_LOG_URL). Its log says more.",
            measured,
        )
    if ready is not None and ready.status == 503 and ready.code is not None:
        return failed(
            READY,
            f"The server answers, but says that it is not ready: {ready.json.get('detail', '')}",
            "If it is going down, ask again in a moment. Its log says more.",
            measured,
        )
    return passed(READY, "The server accepts and delivers, as it says itself.", measured)
