"""How long the core waits before it tries again."""

import pytest

from tidewire.core import backoff as backoff_module
from tidewire.core.backoff import Delays


async def test_each_wait_is_twice_as_long_up_to_the_longest_and_a_success_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backoff_module, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(backoff_module, "LAST_SECONDS", 0.005)
    delays = Delays()
    waits = []
    for _ in range(5):
        waits.append(delays.seconds)
        await delays.wait()
    assert waits == [0.001, 0.002, 0.004, 0.005, 0.005]
    await delays.wait(longest=0.003)
    assert delays.seconds == 0.003
    delays.reset()
    assert delays.seconds == 0.001
