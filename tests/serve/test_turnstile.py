"""Who comes and who goes pass in order, and never so many at once that others wait for long."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.serve.turnstile import AT_A_TIME, Turnstile


class Steps:
    """Counts the steps of the event loop, and notes in which of them something was called."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[tuple[int, int]] = []

    def call(self, number: int) -> Callable[[], None]:
        return lambda: self.calls.append((self.now, number))

    async def pass_by(self, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
            self.now += 1


@given(st.lists(st.integers(0, 4 * AT_A_TIME), max_size=12))
def test_all_pass_once_in_order_and_so_many_in_a_step_at_most(crowds: list[int]) -> None:
    async def play() -> None:
        turnstile = Turnstile(asyncio.get_running_loop())
        steps = Steps()
        entered = 0
        for size in crowds:
            for _ in range(size):
                turnstile.enter(steps.call(entered))
                entered += 1
            await steps.pass_by(1)
        await steps.pass_by(entered + 2)
        assert [number for _, number in steps.calls] == list(range(entered))
        in_each = [sum(step == at for step, _ in steps.calls) for at in range(steps.now)]
        # A step of ours may see the end of one turn and the beginning of the next.
        assert max(in_each, default=0) <= 2 * AT_A_TIME
        assert len(turnstile) == 0

    asyncio.run(play())


async def test_whoever_comes_alone_does_not_wait() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    steps = Steps()
    turnstile.enter(steps.call(1))
    assert steps.calls == [(0, 1)]


async def test_others_go_on_while_a_crowd_passes() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    steps = Steps()
    for number in range(100 * AT_A_TIME):
        turnstile.enter(steps.call(number))
    await steps.pass_by(10)
    assert 0 < len(steps.calls) <= 12 * AT_A_TIME
    assert len(turnstile) == 100 * AT_A_TIME - len(steps.calls)


async def test_a_call_that_fails_holds_nobody_up() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(context["exception"])
    )

    def fail() -> None:
        raise RuntimeError("broken")

    turnstile = Turnstile(asyncio.get_running_loop())
    steps = Steps()
    with pytest.raises(RuntimeError):
        turnstile.enter(fail)
    for number in range(AT_A_TIME):
        turnstile.enter(steps.call(number))
    turnstile.enter(fail)
    turnstile.enter(steps.call(AT_A_TIME))
    await steps.pass_by(4)
    assert [number for _, number in steps.calls] == list(range(AT_A_TIME + 1))
    assert [str(error) for error in told] == ["broken"]


async def test_what_comes_of_a_call_stands_behind_those_who_wait_already() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    steps = Steps()
    for _ in range(AT_A_TIME):
        turnstile.enter(lambda: None)
    turnstile.enter(lambda: turnstile.enter(steps.call(3)))
    turnstile.enter(steps.call(1))
    turnstile.enter(steps.call(2))
    await steps.pass_by(6)
    assert [number for _, number in steps.calls] == [1, 2, 3]


async def test_when_all_have_passed_nothing_is_left_to_do() -> None:
    loop = asyncio.get_running_loop()
    turnstile = Turnstile(loop)
    turnstile.enter(lambda: None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not turnstile._turning
