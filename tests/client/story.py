"""What tests of the reducer say often."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Self

from tidewire.client.failure import Failure
from tidewire.client.messages import Control, Envelope, Gap, PollAnswer
from tidewire.client.model import (
    Action,
    Answered,
    Delivery,
    Effect,
    Failed,
    FetchToken,
    Message,
    Moment,
    Rang,
    Report,
    Settings,
    Signal,
    State,
    Timer,
    TokenCame,
    TokenMissed,
    Told,
)
from tidewire.client.state import initial, reduce

SETTINGS: Final = Settings(max_reconnect_attempts=3)
START: Final = 1_000_000.0
PING: Final = 30_000


class Story:
    """Lets actions happen, one after the other. The time is the test's."""

    def __init__(self, settings: Settings = SETTINGS, cursor: str | None = None) -> None:
        self.now = START
        self.random = 0.5
        self.state: State = initial(settings, cursor)
        self.effects: tuple[Effect, ...] = ()
        """Of the last action."""

    def do(self, action: Action) -> Self:
        step = reduce(self.state, action, Moment(self.now, self.random))
        self.state, self.effects = step.state, step.effects
        return self

    def tell(self, signal: Signal) -> Self:
        """What the current link tells."""
        link = self.state.link
        return self.do(Told(-1 if link is None else link.run, signal))

    def probe(self, signal: Signal) -> Self:
        """What the stream that is tried beside the polls tells."""
        probe = self.state.probe
        return self.do(Told(-1 if probe is None else probe.run, signal))

    def ring(self, timer: Timer, late: float = 0) -> Self:
        """Goes to the moment at which a timer is due, and lets it ring."""
        self.now = self.state.timers[timer] + late
        return self.do(Rang(timer))

    def left(self, timer: Timer) -> float | None:
        """Milliseconds until a timer rings."""
        due = self.state.timers.get(timer)
        return None if due is None else due - self.now

    def token(self, refresh_after: float | None = None) -> Self:
        """The token that is being fetched comes."""
        return self.do(TokenCame(self.state.fetching or 0, refresh_after))

    def no_token(self, failed: Failed) -> Self:
        return self.do(TokenMissed(self.state.fetching or 0, failed.failure))

    @property
    def told(self) -> list[str]:
        """What the last action led to, in words."""
        words = []
        for effect in self.effects:
            match effect:
                case Delivery(Envelope() as event):
                    words.append(event.id)
                case Delivery(Gap()):
                    words.append("gap")
                case Delivery(Control() as control):
                    words.append(control.type)
                case Report():
                    words.append("error")
                case FetchToken():
                    words.append("fetchToken")
                case _:
                    words.append("extend")
        return words


def event(id_: str) -> Envelope:
    return Envelope(id_, "notification")


def streamed(id_: str) -> Message:
    return Message(event(id_), id_)


def said(type_: str, data: dict[str, Any], cursor: str | None = None) -> Message:
    return Message(Control(type_, data, {"type": type_, "data": data}), cursor)


def connected(cursor: str | None = "c0", client_id: str = "client") -> Message:
    data = {"clientId": client_id, "serverInfo": {"pingInterval": PING}, "resumed": False}
    return said("connected", data, cursor)


def ping(cursor: str) -> Message:
    return said("ping", {"head": cursor}, cursor)


def answer(ids: list[str], *, cursor: str | None = None, **rest: Any) -> Answered:
    events = tuple(map(event, ids))
    at = cursor or (ids[-1] if ids else "c0")
    return Answered(PollAnswer(events, at, **{"next_poll_in": 10_000, **rest}))


def failed(code: str = "CLOSED", **rest: Any) -> Failed:
    return Failed(Failure(code, "It failed.", **rest))


UNAUTHORISED: Final = failed(
    "AUTH_EXPIRED_TOKEN", category="authentication", recovery="refresh_token", status=401
)
LIMITED: Final = failed(
    "RATE_LIMIT_EXCEEDED",
    category="rate_limit",
    recovery="fallback_polling",
    status=429,
    retry_after=60_000,
)


def idle() -> Story:
    return Story()


def authorizing() -> Story:
    return Story(replace(SETTINGS, refreshable=True)).do("connect")


def opening() -> Story:
    return Story().do("connect")


def streaming() -> Story:
    return opening().tell(connected())


def waiting() -> Story:
    return streaming().tell(failed())


def polling() -> Story:
    return opening().tell(failed(recovery="fallback_polling")).ring("next").tell(answer([]))


def holding() -> Story:
    return polling().ring("next")


def short_polling() -> Story:
    story = polling().ring("next").tell(failed()).ring("next").tell(failed())
    return story.ring("next").tell(answer([]))


def probing() -> Story:
    return holding().ring("probe")


def stopped() -> Story:
    return streaming().tell(failed(recovery="none"))


STORIES: Final[dict[str, Callable[[], Story]]] = {
    made.__name__: made
    for made in (
        idle,
        authorizing,
        opening,
        streaming,
        waiting,
        polling,
        holding,
        short_polling,
        probing,
        stopped,
    )
}
"""In each phase, as one usually comes there."""
