"""Whether pages of another origin may read answers, as their browser would decide it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tidewire.http.cors import ALLOWED_HEADERS, EXPOSED_HEADERS
from tidewire.http.origins import SETTING
from tidewire.serve.doctor.endpoint import HEALTH
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import Answer, Wire

ORIGIN: Final = "cors.origin"
HEADERS: Final = "cors.headers"

ALLOW_ORIGIN: Final = "access-control-allow-origin"
ALLOW_CREDENTIALS: Final = "access-control-allow-credentials"

TWICE: Final = (
    "Let only the server speak of CORS.\n"
    "nginx: no `add_header Access-Control-…` on /api/.\n"
    "Caddy: no `header Access-Control-…`.\n"
    "HAProxy: no `http-response add-header Access-Control-…`."
)

PASS_ON: Final = (
    "Let the proxy pass OPTIONS and the headers of the server on as they are.\n"
    "nginx: no `limit_except`, `return 204` or `proxy_hide_header Access-Control-…` on /api/.\n"
    "Caddy: no `respond` to OPTIONS, and no `header -Access-Control-…`.\n"
    "HAProxy: no `http-request return` for OPTIONS, no `http-response del-header`."
)


@dataclass(frozen=True, slots=True)
class Cors:
    """What was said to a page.

    Attributes:
        origin: of the page.
        stream: to the preflight of a stream.
        publish: to that of a publish.
        plain: to a request that needs none.
    """

    origin: str
    stream: Answer
    publish: Answer
    plain: Answer


async def ask(wire: Wire, origin: str) -> Cors:
    """Asks as the browser of a page does.

    Raises:
        NoAnswer: to one there was no answer.
    """
    return Cors(
        origin,
        await _preflight(wire, origin, "/api/sse", "GET", ("authorization", "last-event-id")),
        await _preflight(
            wire,
            origin,
            "/api/realtime/publish",
            "POST",
            ("authorization", "content-type", "idempotency-key"),
        ),
        await wire.ask("GET", HEALTH, headers={"origin": origin}),
    )


async def _preflight(
    wire: Wire, origin: str, path: str, method: str, headers: Iterable[str]
) -> Answer:
    return await wire.ask(
        "OPTIONS",
        path,
        headers={
            "origin": origin,
            "access-control-request-method": method,
            # As browsers write them: in lower case, sorted, without spaces.
            "access-control-request-headers": ",".join(headers),
        },
    )


def judge(seen: Cors | None, own_origin: str) -> list[Finding]:
    """The origin, and the headers; ``own_origin`` is that of the address."""
    if seen is None:
        reason = "Give --origin, such as https://app.example.com, to ask as a page of it does."
        return [skipped(ORIGIN, reason), skipped(HEADERS, reason)]
    if seen.origin == own_origin:
        reason = f"{seen.origin} is the origin of the address itself: nothing has to be allowed."
        return [passed(ORIGIN, reason), skipped(HEADERS, "See cors.origin.")]
    measured = {
        "origin": seen.origin,
        "allowed": [each.headers.get(ALLOW_ORIGIN) for each in _all(seen)],
        "preflight": [seen.stream.status, seen.publish.status],
    }
    fault = _origin_fault(seen)
    if fault is not None:
        reason, mend = fault
        return [failed(ORIGIN, reason, mend, measured), skipped(HEADERS, "See cors.origin.")]
    return [
        passed(ORIGIN, f"Pages of {seen.origin} may read answers.", measured),
        _headers(seen),
    ]


def _all(seen: Cors) -> tuple[Answer, Answer, Answer]:
    return seen.stream, seen.publish, seen.plain


def _origin_fault(seen: Cors) -> tuple[str, str] | None:
    told = [each.headers.get_list(ALLOW_ORIGIN) for each in _all(seen)]
    if any(len(values) > 1 or "," in "".join(values) for values in told):
        return f"{ALLOW_ORIGIN} comes twice: browsers take that for a refusal.", TWICE
    allowed = [values[0] if values else None for values in told]
    if not any(allowed):
        return (
            f"Pages of {seen.origin} may not read answers: the server does not allow this origin.",
            f"On the server: {SETTING}={seen.origin} (several: with commas between; scheme, host "
            "and port as browsers write them, nothing after them).\nIf it is set, the proxy "
            f"takes the headers away. {PASS_ON}",
        )
    for answer, value in zip(_all(seen), allowed, strict=True):
        if value is None:
            return (
                f"{answer.path} does not allow {seen.origin}, while others do: {answer.told}.",
                PASS_ON,
            )
        if value != seen.origin:
            return f"The answer allows {value}, and not {seen.origin}.", TWICE
    for answer in (seen.stream, seen.publish):
        if not 200 <= answer.status < 300:
            return f"The preflight of {answer.path} is answered {answer.told}.", PASS_ON
    return None


def _headers(seen: Cors) -> Finding:
    allowed = {
        name
        for answer in (seen.stream, seen.publish)
        for name in _listed(answer, "access-control-allow-headers")
    }
    exposed = _listed(seen.plain, "access-control-expose-headers")
    missing = {
        "allowed": [name for name in ALLOWED_HEADERS if name.lower() not in allowed],
        "exposed": [name for name in EXPOSED_HEADERS if name.lower() not in exposed],
    }
    credentials = all(each.headers.get(ALLOW_CREDENTIALS) == "true" for each in _all(seen))
    measured = {"missing": missing, "credentials": credentials}
    if missing["allowed"]:
        return failed(
            HEADERS,
            f"Pages may not send {', '.join(missing['allowed'])}: their preflights fail.",
            PASS_ON,
            measured,
        )
    if missing["exposed"]:
        return warned(
            HEADERS,
            f"Pages cannot read {', '.join(missing['exposed'])}, by which clients know how long to "
            "wait.",
            PASS_ON,
            measured,
        )
    if not credentials:
        return warned(
            HEADERS,
            "Requests with cookies are refused by the browser: credentials are not allowed.",
            PASS_ON,
            measured,
        )
    return passed(
        HEADERS, "Pages may send and read all headers that they need, and cookies.", measured
    )


def _listed(answer: Answer, name: str) -> set[str]:
    return {part.strip().lower() for part in answer.headers.get(name, "").split(",")}
