"""Whether the clocks agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from tidewire.auth.claims import SKEW_SECONDS
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.endpoint import HEALTH
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import Answer, Wire

SERVER: Final = "clock.server"
TOKEN: Final = "clock.token"

SAMPLES: Final = 3
NOTICED_SECONDS: Final = 5.0
"""What nobody would notice."""

SYNCHRONIZE: Final = (
    "Have all machines keep their clocks by NTP: `timedatectl set-ntp true`, then `timedatectl "
    "status`. In a container it is the clock of the host."
)


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far others' clocks are ahead of this machine's, seconds; None: they do not say.

    Attributes:
        server: that of Tidewire.
        date: that of whoever wrote the header Date: a proxy, if there is one.
        doubt: how exactly that is known, seconds.
    """

    server: float | None
    date: float | None
    doubt: float

    @property
    def skewed(self) -> bool:
        """Whether times in tokens mean something else to the server than to us."""
        return self.server is not None and abs(self.server) > SKEW_SECONDS + self.doubt


async def compare(wire: Wire) -> Clocks:
    """Asks for the time.

    Raises:
        NoAnswer: there was no answer.
    """
    return read([await wire.ask("GET", HEALTH) for _ in range(SAMPLES)])


def read(answers: Sequence[Answer]) -> Clocks:
    """What answers of the health endpoint say of the time; the quickest says it best."""
    answer = min(answers, key=lambda answer: answer.seconds)
    told = answer.json.get("timestamp")
    server = told / 1000 - answer.moment if isinstance(told, int) else None
    date = None
    try:
        # It is cut off to whole seconds.
        written = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() + 0.5
        date = written - answer.moment
    except ValueError:
        pass
    return Clocks(server, date, answer.seconds / 2)


def judge(seen: Clocks, credential: Credential | None, now: float) -> list[Finding]:
    """The clock of the server, and the times of the token; ``now`` in Unix seconds."""
    return [_server(seen), _token(seen, credential, now)]


def _server(seen: Clocks) -> Finding:
    if seen.server is None:
        return skipped(SERVER, "The server does not say what time it is.")
    measured = {
        "serverAheadMs": round(seen.server * 1000),
        "dateAheadMs": None if seen.date is None else round(seen.date * 1000),
    }
    reason = f"The clock of the server is {_apart(seen.server)} this machine's"
    if seen.skewed:
        return failed(
            SERVER,
            f"{reason}, and {SKEW_SECONDS} s is what is let pass: tokens are good too long, or not "
            "at all.",
            SYNCHRONIZE,
            measured,
        )
    if abs(seen.server) > NOTICED_SECONDS + seen.doubt:
        return warned(SERVER, f"{reason}.", SYNCHRONIZE, measured)
    if seen.date is not None and abs(seen.date) > NOTICED_SECONDS + 0.5 + seen.doubt:
        return warned(
            SERVER,
            f"The header Date, which a proxy writes, is {_apart(seen.date)} this machine's clock.",
            SYNCHRONIZE,
            measured,
        )
    return passed(SERVER, f"{reason}.", measured)


def _token(seen: Clocks, credential: Credential | None, now: float) -> Finding:
    if credential is None:
        return skipped(TOKEN, "There is no token.")
    ends, issued = credential.time("exp"), credential.time("iat")
    if ends is None:
        return skipped(TOKEN, "When the token ends cannot be read from it.")
    # The server's clock decides.
    there = now + (seen.server or 0)
    left = ends - there
    measured = {
        "secondsLeft": round(left),
        "secondsOld": None if issued is None else round(there - issued),
    }
    if left <= 0:
        return skipped(TOKEN, f"The token ended {_span(-left)} ago: see auth.token.")
    if issued is not None and issued - there > SKEW_SECONDS and not seen.skewed:
        return failed(
            TOKEN,
            f"By the server's clock the token is issued {_span(issued - there)} from now: the "
            "clock of its issuer is wrong.",
            SYNCHRONIZE,
            measured,
        )
    return passed(TOKEN, f"The token is good for {_span(left)} more.", measured)


def _apart(seconds: float) -> str:
    size = abs(seconds)
    figure = f"{size * 1000:.0f} ms" if size < 1 else _span(size)
    return f"{figure} {'ahead of' if seconds >= 0 else 'behind'}"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
