"""A state on its way to the next: what is written on while an action happens."""

from dataclasses import replace

from tidewire.client.failure import Failure
from tidewire.client.messages import Control, Envelope, Gap
from tidewire.client.model import Delivery, Effect, Moment, Report, State, Timer


class Draft:
    """The next state and the effects, as far as they are known.

    Attributes:
        state: a copy that may be changed.
        now: what time it is, ms.
        random: from 0 up to but not including 1.
        effects: what is to be done, in order.
    """

    __slots__ = ("effects", "now", "random", "state")

    def __init__(self, state: State, moment: Moment) -> None:
        self.state = replace(state, timers=dict(state.timers))
        self.now = moment.now
        self.random = moment.random
        self.effects: list[Effect] = []

    def next_run(self) -> int:
        """A number for a link or a token, which none had before."""
        self.state.runs += 1
        return self.state.runs

    def clear(self, *timers: Timer) -> None:
        for timer in timers:
            self.state.timers.pop(timer, None)

    def after(self, timer: Timer, delay: float) -> None:
        """Has a timer ring after ``delay``."""
        self.state.timers[timer] = self.now + delay

    def deliver(self, item: Envelope | Gap | Control) -> None:
        self.effects.append(Delivery(item))

    def report(self, failure: Failure, *, fatal: bool = False) -> None:
        self.state.error = failure
        self.effects.append(Report(failure, fatal))
