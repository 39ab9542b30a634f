"""Values that take a while to make."""

import asyncio
import threading

import pytest

from tidewire.http.once import Once


async def test_it_is_made_once_whoever_asks_meanwhile() -> None:
    made: list[int] = []
    began, go_on = threading.Event(), threading.Event()

    def make() -> int:
        began.set()
        assert go_on.wait(30)
        made.append(1)
        return len(made)

    once = Once(make)
    asking = [asyncio.create_task(once.wait()) for _ in range(3)]
    assert await asyncio.to_thread(began.wait, 30)
    go_on.set()
    assert await asyncio.gather(*asking) == [1, 1, 1]
    assert (once.get(), made) == (1, [1])


async def test_what_is_made_waits_for_no_thread() -> None:
    once = Once(lambda: "value")
    assert once.get() == "value"
    waiting = once.wait()
    with pytest.raises(StopIteration) as done:
        waiting.send(None)
    assert done.value.value == "value"


async def test_what_could_not_be_made_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not now")
        return len(tries)

    once = Once(make)
    with pytest.raises(OSError, match="not now"):
        await once.wait()
    assert await once.wait() == 2
