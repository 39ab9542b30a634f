"""The whole life of a connection, as a function: ``reduce(state, action, moment)``.

The rules, from the top:

- There is one cursor. It moves with what was delivered, and every link is opened from it; so
  whichever way events are read, each is delivered once, in the order of the log.
- A stream that fails is tried again. One that is mute, or was refused for its number, or failed too
  often, is replaced by polls that may be held; those, when they fail, by polls that are not.
- While it polls, streams are tried beside it, and polls go on until one has said ``connected``. The
  more such a stream has disappointed, the later the next.
- Who cannot follow stops reading, and not the connection.
- Nothing but ``disconnect``, a problem that trying again does not mend, or the server's word ends
  it; and then it says so.
"""

from dataclasses import replace
from typing import Final

from tidewire.client.failure import Failure, problem_failure
from tidewire.client.messages import Control, Envelope, PollAnswer, gap_of
from tidewire.client.model import (
    Action,
    Answered,
    Delivery,
    Effect,
    Extend,
    Failed,
    FetchToken,
    Link,
    Message,
    Method,
    Moment,
    Opened,
    Phase,
    Rang,
    Report,
    Retry,
    Settings,
    Signal,
    State,
    Step,
    Timer,
    TokenCame,
    TokenMissed,
    Told,
)
from tidewire.core.errors import Recovery

POLL_SPACING: Final = 550
"""Polls begin at least so long after one another, unless the log holds more. All in ms."""
SHORT_REST: Final = 1_000
"""A server that names no time is polled so often."""
HELD_FAILURES: Final = 2
"""So many failures of polls in a row, and they are not held any more."""
CLIMB_AFTER: Final = 300_000
"""Held polls are tried again after so long."""
PROBE_FIRST: Final = 10_000
PROBE_LAST: Final = 40_000
"""The first probe comes after at most so long, the later ones after up to so long."""
FLAP_REST: Final = (60_000, 600_000)
"""After a stream that a probe won did not last: the first time, and from then on."""
MAX_OVERLAP: Final = 5_000
"""A probe is given up when polls brought so many events meanwhile."""
SPREAD: Final = 1_000
"""What happens to a crowd at once is answered within so long: a proxy begins to buffer."""
TOKEN_REST: Final = 60_000
"""Tokens are not renewed more often than that, whatever the clocks say."""
SLEPT: Final = 90_000
"""A timer that is later than that has slept, and with it the whole process."""


def initial(settings: Settings, cursor: str | None = None) -> State:
    """A connection that nobody has asked for."""
    return State(settings, cursor=cursor)


def reduce(state: State, action: Action, moment: Moment) -> Step:
    """What follows when ``action`` happens in ``state``."""
    draft = replace(state, timers=dict(state.timers))
    turn = _Turn(draft, moment)
    turn.act(action)
    if state.phase == "open" and draft.phase != "open":
        due = draft.timers.get("next")
        data = {
            "reason": draft.reason or "closed",
            "willReconnect": draft.phase not in ("idle", "stopped"),
            "nextIn": None if due is None else max(0, due - moment.now),
        }
        turn.effects.append(Delivery(Control("disconnected", data)))
    return Step(draft, tuple(turn.effects))


def patience(ping_interval: float) -> float:
    """How long a stream may be silent. A busy server pings a little late."""
    return ping_interval + max(2_000, ping_interval / 10)


class _Turn:
    """One step: a draft of the state that comes of it, and the effects."""

    def __init__(self, draft: State, moment: Moment) -> None:
        self.draft = draft
        self.now = moment.now
        self.random = moment.random
        self.effects: list[Effect] = []

    def act(self, action: Action) -> None:
        draft = self.draft
        match action:
            case "connect":
                if draft.phase in ("idle", "stopped"):
                    self.begin("longPolling" if draft.pinned else "sse", action)
            case "reconnect" | "forceSSE":
                draft.pinned = False
                self.begin("sse", action)
            case "forcePolling":
                draft.pinned = True
                self.begin("longPolling", action)
            case "disconnect":
                self.rest("idle", action)
            case "pause":
                self.pause()
            case "resume":
                self.resume()
            case Told(run, signal):
                if draft.link is not None and run == draft.link.run:
                    self.hear(draft.link, signal)
                elif draft.probe is not None and run == draft.probe.run:
                    self.hear_probe(draft.probe, signal)
            case Rang(timer):
                self.ring(timer)
            case TokenCame(run, refresh_after):
                if run == draft.fetching:
                    self.arrive(refresh_after)
            case TokenMissed(run, failure):
                if run == draft.fetching:
                    self.miss_token(failure)

    # Timers

    def clear(self, *timers: Timer) -> None:
        for timer in timers:
            self.draft.timers.pop(timer, None)

    def after(self, timer: Timer, delay: float) -> None:
        """Has a timer ring after ``delay``."""
        self.draft.timers[timer] = self.now + delay

    def listen_for(self, stream: Opened) -> None:
        """Expects a stream to say something in time; unless nobody reads what it says."""
        if not self.draft.paused:
            self.after("mute", patience(stream.ping_interval))

    # Links

    def begin(self, method: Method, reason: str) -> None:
        """Starts anew by the given way, as if nothing had failed. The cursor stays."""
        draft = self.draft
        self.forget()
        draft.probe = None
        draft.sse_failures = draft.polling_failures = draft.token_failures = 0
        draft.probes = draft.flaps = 0
        draft.refreshed = False
        draft.not_before = 0
        draft.error = None
        draft.phase = "opening"
        draft.reason = reason
        draft.method = method
        self.clear("probe", "probeOpen", "climb")
        self.open()

    def rest(self, phase: Phase, reason: str) -> None:
        """Lets go of everything: no link and no timer is left."""
        draft = self.draft
        self.forget()
        draft.phase = phase
        draft.reason = reason
        draft.probe = None
        draft.timers = {}
        # Whoever connects next may be somebody else.
        draft.token = "none"
        draft.token_due = None
        draft.fetching = None

    def open(self) -> None:
        """Opens a link by the way we are on, now, from the cursor."""
        draft = self.draft
        self.forget()
        if draft.settings.refreshable and draft.token == "none":
            draft.phase = "authorizing"
            self.after("open", draft.settings.open_timeout)
            self.fetch_token()
            return
        polls = draft.method != "sse"
        # An answer at once is what proves that polling works; only then one is worth waiting for.
        held = draft.method == "longPolling" and draft.phase == "open"
        draft.link = self.link(draft.method, held=held)
        self.after("open", draft.settings.open_timeout + (draft.settings.hold if held else 0))
        if not (polls and draft.phase == "open"):
            draft.phase = "opening"
        if draft.token_due is not None and draft.fetching is None:
            draft.timers["token"] = draft.token_due
        if draft.method == "shortPolling":
            draft.timers.setdefault("climb", self.now + CLIMB_AFTER)
        if polls and not draft.pinned and draft.probe is None:
            draft.timers.setdefault("probe", self.now + self.until_probe())

    def link(self, method: Method, *, held: bool = False) -> Link:
        self.draft.runs += 1
        return Link(self.draft.runs, method, self.draft.cursor, self.now, held)

    def forget(self) -> None:
        """Lets the current link go."""
        draft = self.draft
        # The next link starts from a cursor that has all of what was polled; unless an event came
        # out of turn, then the rest of the overlap is still to come.
        if draft.link is not None and draft.link.behind:
            draft.overlap = frozenset()
        draft.link = None
        self.clear("next", "open", "mute", "stable")

    def pause(self) -> None:
        """The consumer has enough to do."""
        self.draft.paused = True
        self.clear("mute")
        if self.draft.phase == "open" and self.draft.method != "sse":
            # The next poll when there is room for what it brings. One that is let go of has had no
            # time to bring anything.
            self.forget()

    def resume(self) -> None:
        """The consumer has room again."""
        draft = self.draft
        if not draft.paused:
            return
        draft.paused = False
        if draft.phase != "open":
            return
        if draft.link is None:
            draft.timers.setdefault("next", self.now)
        elif draft.link.stream is not None:
            # What came meanwhile is heard now.
            self.listen_for(draft.link.stream)

    # What a link tells

    def hear(self, link: Link, signal: Signal) -> None:
        match signal:
            case Message(content, cursor):
                self.listen(link)
                if isinstance(content, Envelope):
                    self.take(content, cursor)
                else:
                    self.obey(link, content, cursor)
            case Answered(answer):
                self.answered(link, answer)
            case Retry(after):
                self.draft.not_before = self.now + after
            case Failed(failure):
                self.fail(failure)

    def listen(self, link: Link) -> None:
        """A stream said something."""
        if link.stream is not None:
            if not link.heard:
                self.draft.link = replace(link, heard=True)
            self.listen_for(link.stream)

    def take(self, event: Envelope, cursor: str | None) -> None:
        """Delivers an event, unless that was done."""
        draft = self.draft
        if event.id in draft.overlap:
            # The cursor is further already.
            draft.overlap -= {event.id}
            return
        if cursor is not None:
            draft.cursor = cursor
        if draft.link is not None and draft.link.behind:
            draft.link = replace(draft.link, behind=False)
        self.effects.append(Delivery(event))

    def obey(self, link: Link, control: Control, cursor: str | None) -> None:
        """Does what the current stream says."""
        draft, data = self.draft, control.data
        if control.type == "gap":
            self.effects.append(Delivery(gap_of(data, control.raw)))
        else:
            self.effects.append(Delivery(control))
        match control.type:
            case "connected":
                if cursor is not None:
                    draft.cursor = cursor
                opened = Opened(data["clientId"], data["serverInfo"]["pingInterval"])
                draft.link = replace(link, stream=opened)
                self.proved(opened)
            case "ping":
                # Within what was polled already it would lead back.
                if cursor is not None and not (link.behind and draft.overlap):
                    draft.cursor = cursor
            case "gap":
                draft.cursor = data["to"] if cursor is None else cursor
            case "authExpiring":
                self.fetch_token()
            case "error":
                failure = problem_failure(data)
                self.fail(failure or Failure(data["code"], str(data.get("detail", data["code"]))))
            case "disconnecting":
                self.leave(data["reason"], data["reconnectAfter"])

    def work(self) -> None:
        """What is tried works."""
        self.draft.phase = "open"
        self.draft.error = None
        self.clear("open")

    def proved(self, stream: Opened) -> None:
        """The current link is a stream that is open."""
        self.work()
        self.draft.polling_failures = 0
        self.clear("next", "climb")
        self.after("stable", self.draft.settings.stable_after)
        self.listen_for(stream)

    def leave(self, reason: str, reconnect_after: float | None) -> None:
        """The server closes the stream, and says when to come back."""
        if reconnect_after is None:
            self.stop(Failure("SENT_AWAY", reason, recovery="none"), reason)
        elif not self.draft.settings.auto_reconnect:
            self.stop(Failure("CLOSED", reason), reason)
        else:
            self.wait(reason, reconnect_after, reconnect_after)

    def answered(self, link: Link, answer: PollAnswer) -> None:
        draft = self.draft
        # A stream that was begun from elsewhere does not go on from here.
        if draft.probe is not None and (draft.probe.cursor is None or answer.gap is not None):
            self.drop_probe()
        if answer.gap is not None:
            self.effects.append(Delivery(answer.gap))
        for event in answer.events:
            self.take(event, None)
        draft.cursor = answer.cursor
        if draft.probe is not None:
            draft.overlap |= {event.id for event in answer.events}
            if len(draft.overlap) > MAX_OVERLAP:
                self.drop_probe()
        self.work()
        draft.refreshed = False
        draft.link = None
        if draft.method == "shortPolling":
            # It failed for a while even without being held: it was not the holding.
            if draft.polling_failures > HELD_FAILURES:
                self.climb()
            else:
                draft.polling_failures = 0
        elif link.held:
            draft.polling_failures = 0
        if draft.paused:
            return
        if answer.has_more:
            self.open()
        elif draft.method == "longPolling":
            draft.timers["next"] = max(self.now, link.opened_at + POLL_SPACING)
        else:
            self.after("next", max(SHORT_REST, answer.next_poll_in))

    def climb(self) -> None:
        """Tries held polls again. One failure is enough to be back."""
        self.draft.method = "longPolling"
        self.draft.polling_failures = HELD_FAILURES - 1
        self.clear("climb")

    # Failures

    def fail(self, failure: Failure) -> None:
        """The current link did not open, or ended."""
        draft, settings = self.draft, self.draft.settings
        if failure.recovery == "none":
            self.stop(failure)
            return
        # What ran out while the stream was open, a cookie for instance, may be as good as new by
        # now.
        streamed = draft.link is not None and draft.link.stream is not None
        renewed = not settings.refreshable and streamed
        if failure.recovery == "refresh_token" and not renewed:
            self.refresh(failure)
            return
        if not settings.auto_reconnect:
            self.stop(failure)
            return
        self.report(failure)
        down = failure.recovery == "fallback_polling"
        if draft.method == "sse":
            attempt = draft.sse_failures
            draft.sse_failures += 1
            if down or draft.sse_failures >= settings.max_reconnect_attempts:
                self.fall_back(failure)
                return
        else:
            attempt = draft.polling_failures
            draft.polling_failures += 1
            if draft.method == "longPolling" and (down or draft.polling_failures >= HELD_FAILURES):
                draft.method = "shortPolling"
        delay = settings.backoff.delay(attempt, self.random)
        self.wait(failure.code, delay, failure.retry_after or 0)

    def fall_back(self, failure: Failure) -> None:
        """From streams to polls."""
        draft = self.draft
        if draft.probes > 0:
            draft.flaps += 1
        draft.method = "longPolling"
        after = failure.retry_after or 0
        self.after("probe", max(self.until_probe(), after))
        # A wait that was asked of streams only is over with them.
        least = 0 if failure.recovery == "fallback_polling" else after
        self.wait(failure.code, self.spread(SPREAD), least)

    def wait(self, reason: str, delay: float, least: float = 0) -> None:
        """Tries again after ``delay``, and not before ``least`` whatever happens."""
        draft = self.draft
        self.forget()
        draft.phase = "waiting"
        draft.reason = reason
        draft.not_before = max(draft.not_before, self.now + least)
        draft.timers["next"] = max(draft.not_before, self.now + delay)

    def spread(self, limit: float) -> int:
        return round(self.random * limit)

    def report(self, failure: Failure, *, fatal: bool = False) -> None:
        self.draft.error = failure
        self.effects.append(Report(failure, fatal))

    def stop(self, failure: Failure, reason: str | None = None) -> None:
        """It does not go on by itself."""
        self.report(failure, fatal=True)
        self.rest("stopped", failure.code if reason is None else reason)

    # Tokens

    def refresh(self, failure: Failure) -> None:
        """Nobody knows us: a new token, once."""
        draft = self.draft
        if not draft.settings.refreshable or draft.refreshed:
            self.stop(failure)
            return
        self.report(failure)
        draft.refreshed = True
        draft.reason = failure.code
        draft.token = "none"
        draft.token_due = None
        self.open()

    def fetch_token(self) -> None:
        draft = self.draft
        if not draft.settings.refreshable or draft.fetching is not None:
            return
        draft.runs += 1
        draft.fetching = draft.runs
        self.clear("token")
        self.effects.append(FetchToken(draft.runs))

    def arrive(self, refresh_after: float | None) -> None:
        draft = self.draft
        draft.fetching = None
        draft.token = "held"
        draft.token_failures = 0
        draft.token_due = None
        if refresh_after is not None:
            # Where the clocks disagree, a new token may look old.
            draft.token_due = draft.timers["token"] = max(refresh_after, self.now + TOKEN_REST)
        if draft.phase == "authorizing":
            self.open()
        elif draft.link is not None and draft.link.stream is not None:
            self.effects.append(Extend(draft.link.stream.client_id))

    def miss_token(self, failure: Failure) -> None:
        draft, settings = self.draft, self.draft.settings
        draft.fetching = None
        if draft.token == "held":
            # What is open goes on as long as it may.
            self.report(failure)
            draft.token_due = draft.timers["token"] = self.now + TOKEN_REST
            return
        refused = failure.category == "authentication" or failure.recovery == "none"
        if refused or not settings.auto_reconnect:
            self.stop(failure)
            return
        self.report(failure)
        delay = settings.backoff.delay(draft.token_failures, self.random)
        draft.token_failures += 1
        self.wait(failure.code, delay, failure.retry_after or 0)

    # Time

    def ring(self, timer: Timer) -> None:
        draft = self.draft
        due = draft.timers.get(timer)
        if due is None or due > self.now:
            return
        del draft.timers[timer]
        slept = self.now - due > SLEPT
        match timer:
            case "next":
                self.open()
            case "open":
                if slept:
                    self.reopen()
                elif draft.phase == "authorizing":
                    self.miss_token(Failure("TOKEN_TIMEOUT", "No token came."))
                else:
                    down: Recovery = "fallback_polling" if draft.method == "sse" else "retry"
                    self.fail(Failure("OPEN_TIMEOUT", "Nothing came.", recovery=down))
            case "mute":
                if slept:
                    self.reopen()
                else:
                    # Whoever has heard nothing at all sits behind something that holds it back. A
                    # stream that falls silent has lost its connection.
                    heard = draft.link is not None and draft.link.heard
                    recovery: Recovery = "retry" if heard else "fallback_polling"
                    self.fail(Failure("MUTE", "The stream is silent.", recovery=recovery))
            case "stable":
                draft.sse_failures = draft.probes = draft.flaps = 0
                draft.refreshed = False
            case "probe":
                if draft.phase == "authorizing":
                    self.after("probe", self.until_probe())
                else:
                    draft.probe = self.link("sse")
                    self.after("probeOpen", draft.settings.open_timeout)
            case "probeOpen":
                self.drop_probe()
            case "climb":
                if draft.method == "shortPolling":
                    self.climb()
            case "token":
                self.fetch_token()

    def reopen(self) -> None:
        """The same again: what happened is nobody's failure."""
        self.draft.reason = "slept"
        self.open()

    # Probes

    def hear_probe(self, probe: Link, signal: Signal) -> None:
        """A stream that is tried beside the polls says something."""
        draft = self.draft
        if isinstance(signal, Retry):
            return
        # One that starts with a gap would announce what the polls will find themselves, or did not
        # miss.
        if (
            not isinstance(signal, Message)
            or signal.content.type != "connected"
            or isinstance(signal.content, Envelope)
            or signal.cursor is None
        ):
            failure = signal.failure if isinstance(signal, Failed) else None
            self.drop_probe(None if failure is None else failure.retry_after)
            return
        cursor = draft.cursor
        self.forget()
        draft.method = "sse"
        draft.link = replace(probe, behind=bool(draft.overlap))
        draft.probe = None
        draft.probes += 1
        self.clear("probe", "probeOpen")
        self.obey(draft.link, signal.content, None)
        draft.cursor = signal.cursor if cursor is None else cursor

    def drop_probe(self, retry_after: float | None = None) -> None:
        self.draft.probe = None
        self.draft.probes += 1
        self.draft.overlap = frozenset()
        self.clear("probeOpen")
        self.after("probe", max(self.until_probe(), retry_after or 0))

    def until_probe(self) -> int:
        draft = self.draft
        if draft.flaps > 0:
            return FLAP_REST[min(draft.flaps, len(FLAP_REST)) - 1]
        # Not sooner than half of it: this one waits for a cure, not for its turn.
        limit = min(PROBE_LAST, PROBE_FIRST << min(draft.probes, 30))
        return round(limit * (0.5 + self.random / 2))
