"""What the parent of workers decides, without processes and in made-up time."""

from collections.abc import Callable

import pytest

from tidewire.core.errors import ConfigurationError
from tidewire.serve.supervisor import (
    Announce,
    Drain,
    Kill,
    Order,
    Patience,
    Ping,
    Start,
    Supervisor,
    Tell,
)


class Watched:
    """A supervisor, its time, and what it has ordered; workers do as they are told to."""

    def __init__(self, count: int = 2) -> None:
        self.supervisor = Supervisor(count)
        self.now = 1000.0
        self.told: list[str] = []

    def decide(self) -> list[Order]:
        orders = self.supervisor.decide(self.now)
        self.told += [order.text for order in orders if isinstance(order, Tell)]
        return [order for order in orders if not isinstance(order, Tell)]

    def has_finished(self) -> bool:
        return self.supervisor.finished

    def ready(self, *numbers: int) -> list[Order]:
        for number in numbers:
            self.supervisor.ready(number, self.now)
        return self.decide()

    def ended(self, number: int, code: int = -9) -> list[Order]:
        self.supervisor.ended(number, code, self.now)
        return self.decide()

    def restart(self) -> list[Order]:
        self.supervisor.restart(self.now)
        return self.decide()

    def stop(self) -> list[Order]:
        self.supervisor.stop(self.now)
        return self.decide()

    def refused(self, number: int) -> list[Order]:
        self.supervisor.refused(number, ConfigurationError("A setting is missing."))
        return self.ended(number, 2)

    def after(self, seconds: float, *, answering: tuple[int, ...] = ()) -> list[Order]:
        """Lets time pass in the steps in which it is looked; who answers does so at once."""
        found: list[Order] = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            for order in self.decide():
                if isinstance(order, Ping):
                    if order.worker in answering:
                        self.supervisor.answered(order.worker, self.now)
                else:
                    found.append(order)
        return found


@pytest.fixture
def serving() -> Watched:
    """Two workers that have served for a minute."""
    watched = Watched()
    watched.decide()
    watched.ready(1, 2)
    watched.after(60, answering=(1, 2))
    return watched


def test_all_are_started_at_once_and_announced_when_the_first_serves() -> None:
    watched = Watched(3)
    assert watched.decide() == [Start(1), Start(2), Start(3)]
    assert watched.ready(2) == [Announce()]
    assert watched.ready(1, 3) == []


def test_one_that_has_served_for_long_is_replaced_at_once(serving: Watched) -> None:
    assert serving.ended(1) == [Start(3)]
    assert "signal SIGKILL" in serving.told[-1]
    assert serving.ready(3) == []


def test_workers_that_always_end_at_once_are_started_ever_more_rarely() -> None:
    watched = Watched(1)
    watched.decide()
    began, starts, number = watched.now, [], 1
    while watched.now < began + 200:
        assert watched.ended(number, 1) == []
        while not (orders := watched.after(0.5)):
            assert watched.supervisor.wait(watched.now) <= 1
        number += 1
        assert orders == [Start(number)]
        starts.append(watched.now - began)
    pauses = [later - sooner for sooner, later in zip([0.0, *starts], starts, strict=False)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]


def test_workers_that_end_together_are_one_failure() -> None:
    watched = Watched(2)
    watched.decide()
    watched.ended(1, 1)
    watched.ended(2, 1)
    assert watched.after(0.5) == [Start(3), Start(4)]


def test_failures_of_long_ago_are_forgotten() -> None:
    watched = Watched(1)
    watched.decide()
    for number in (1, 2, 3):
        watched.ready(number)
        watched.ended(number)
        watched.after(5)
    watched.ready(4)
    watched.after(300, answering=(4,))
    assert watched.ended(4) == [Start(5)]
    watched.ready(5)
    assert watched.ended(5) == []
    assert watched.after(0.5) == [Start(6)]


def test_when_every_first_start_is_refused_the_whole_ends_with_the_reason() -> None:
    watched = Watched(2)
    watched.decide()
    assert watched.refused(1) == []
    assert not watched.has_finished()
    assert watched.refused(2) == []
    assert watched.has_finished()
    assert str(watched.supervisor.refusal) == "A setting is missing."
    assert watched.told == []


def test_a_refusal_beside_one_that_serves_is_told_and_tried_again() -> None:
    watched = Watched(2)
    watched.decide()
    watched.ready(1)
    assert watched.refused(2) == []
    assert "A setting is missing" in watched.told[-1]
    assert watched.after(0.5) == [Start(3)]
    assert watched.supervisor.refusal is None


def test_a_silent_worker_is_killed_and_one_that_answers_is_not(serving: Watched) -> None:
    assert serving.after(30, answering=(2,)) == []
    assert serving.after(2, answering=(2,)) == [Kill(1)]
    assert serving.ended(1) == [Start(3)]


def test_a_worker_that_never_begins_to_serve_is_killed() -> None:
    watched = Watched(1)
    watched.decide()
    assert watched.after(119) == []
    assert watched.after(2) == [Kill(1)]
    assert watched.ended(1) == []
    assert watched.after(1) == [Start(2)]


def test_nobody_is_killed_because_the_machine_slept(serving: Watched) -> None:
    serving.after(1)
    serving.now += 3600
    assert serving.after(1) == []
    for number in (1, 2):
        serving.supervisor.answered(number, serving.now)
    assert serving.after(60, answering=(1, 2)) == []


def test_a_restart_replaces_one_after_the_other_and_the_new_one_serves_first(
    serving: Watched,
) -> None:
    assert serving.restart() == [Start(3)]
    assert serving.ready(3) == [Drain(1)]
    assert serving.after(2, answering=(1, 2, 3)) == []
    assert serving.ended(1, 0) == [Start(4)]
    assert serving.ready(4) == [Drain(2)]
    assert serving.ended(2, 0) == []
    assert serving.told[-1] == "every worker was replaced"


def test_a_restart_whose_new_worker_fails_is_given_up_and_the_old_ones_stay(
    serving: Watched,
) -> None:
    serving.restart()
    assert serving.refused(3) == []
    assert "given up" in serving.told[-1]
    assert serving.after(60, answering=(1, 2)) == []


def test_who_dies_during_a_restart_is_replaced_by_the_one_that_starts(serving: Watched) -> None:
    serving.restart()
    assert serving.ended(1) == []
    assert serving.ready(3) == [Start(4)]
    assert serving.ready(4) == [Drain(2)]
    assert serving.ended(2, 0) == []
    assert serving.told[-1] == "every worker was replaced"


def test_a_restart_asked_again_replaces_the_new_ones_too(serving: Watched) -> None:
    serving.restart()
    assert serving.ready(3) == [Drain(1)]
    assert serving.restart() == []
    assert serving.ended(1, 0) == [Start(4)]
    assert serving.ready(4) == [Drain(2)]
    assert serving.ended(2, 0) == [Start(5)]
    assert serving.ready(5) == [Drain(3)]
    assert serving.ended(3, 0) == []
    assert serving.told[-1] == "every worker was replaced"


def test_a_restart_does_not_wait_for_the_backoff() -> None:
    watched = Watched(1)
    watched.decide()
    for number in range(1, 8):
        watched.ended(number, 1)
        watched.after(30)
    watched.ended(8, 1)
    assert watched.decide() == []
    assert watched.restart() == [Start(9)]


def test_stopping_drains_all_and_starts_none(serving: Watched) -> None:
    serving.restart()
    assert serving.stop() == [Drain(1), Drain(2), Drain(3)]
    assert serving.ended(1, 0) == serving.ended(3, -15) == []
    assert not serving.has_finished()
    assert serving.restart() == []
    assert serving.ended(2, 0) == []
    assert serving.has_finished()
    assert serving.supervisor.refusal is None


def test_a_worker_that_drains_has_all_the_time_it_answers_in(serving: Watched) -> None:
    serving.stop()
    assert serving.after(600, answering=(1, 2)) == []


@pytest.mark.parametrize(
    "prepare", [lambda watched: watched.ready(1), lambda watched: []], ids=["served", "starting"]
)
def test_one_that_neither_ends_nor_answers_does_not_hold_up_a_stop(
    prepare: Callable[[Watched], list[Order]],
) -> None:
    watched = Watched(1)
    watched.decide()
    prepare(watched)
    watched.stop()
    leave = Patience().leave
    assert watched.after(leave - 1) == []
    assert watched.after(3) == [Kill(1)]


def test_a_second_request_to_stop_kills_unless_it_came_with_the_first(serving: Watched) -> None:
    serving.stop()
    serving.now += 0.1
    assert serving.stop() == []
    serving.now += 1
    assert serving.stop() == [Kill(1), Kill(2)]
