"""While a crowd passes nobody waits for the collector to look at everything that lives."""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest

from tests.waiting import until
from tidewire import Settings
from tidewire.serve.application import Application
from tidewire.serve.garbage import CALM_SECONDS, LONGEST_SECONDS, Garbage
from tidewire.serve.protocol import TURNSTILE
from tidewire.serve.server import Server, configuration

USUAL = (701, 11, 12)


class FakeLoop:
    """A loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, call))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due and self.due[0][0] <= end:
            self.now, call = self.due.pop(0)
            call()
        self.now = end


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def garbage(loop: FakeLoop) -> Iterator[Garbage]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield Garbage(loop)  # type: ignore[arg-type]
    gc.set_threshold(*before)


@pytest.fixture
def searches() -> Iterator[list[int]]:
    """Grows by one with each look at everything."""
    made: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            made.append(1)

    gc.callbacks.append(note)
    yield made
    gc.callbacks.remove(note)


def is_left() -> bool:
    young, middle, old = gc.get_threshold()
    assert (young, middle) == USUAL[:2]
    return old > 1_000_000


def test_it_is_left_while_somebody_passes_and_until_it_is_calm(
    garbage: Garbage, loop: FakeLoop, searches: list[int]
) -> None:
    assert not is_left()
    for _ in range(10):
        garbage.leave()
        assert is_left()
        loop.advance(CALM_SECONDS * 0.9)
    loop.advance(CALM_SECONDS * 2)
    assert gc.get_threshold() == USUAL
    assert not loop.due
    # Whether it is due then is for the collector to say.
    assert searches == []


def test_a_crowd_without_an_end_does_not_put_it_off_for_ever(
    garbage: Garbage, loop: FakeLoop, searches: list[int]
) -> None:
    while loop.now < 3 * LONGEST_SECONDS + CALM_SECONDS:
        garbage.leave()
        loop.advance(CALM_SECONDS / 2)
    assert len(searches) == 3
    assert is_left()


def test_what_an_application_sets_meanwhile_stays(garbage: Garbage, loop: FakeLoop) -> None:
    garbage.leave()
    _, _, old = gc.get_threshold()
    gc.set_threshold(5000, 20, old)
    loop.advance(3 * CALM_SECONDS)
    assert gc.get_threshold() == (5000, 20, USUAL[2])
    gc.set_threshold(*USUAL)


def test_at_the_end_everything_is_as_it_was(garbage: Garbage, loop: FakeLoop) -> None:
    garbage.leave()
    garbage.take()
    assert gc.get_threshold() == USUAL
    garbage.take()
    loop.advance(3 * CALM_SECONDS)
    assert gc.get_threshold() == USUAL


async def test_a_server_leaves_it_while_somebody_comes_and_takes_it_at_its_end(
    garbage: Garbage,
) -> None:
    config = configuration(Application(None, settings=Settings(), dev=True))
    config.port = 0
    server = Server(Application(None, settings=Settings(), dev=True), config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    assert not is_left()
    server.lifespan.state[TURNSTILE].enter(lambda: None)
    assert is_left()
    server.should_exit = True
    await serving
    assert gc.get_threshold() == USUAL
