"""A plugin for pytest: what was published, and who would get it.

    def test_alice_is_told(published):
        order(customer="alice")
        assert published.one("notification", to="alice").data["title"] == "Thank you"
        published.none(to="bob")

It is found by itself where Tidewire is installed; nothing is loaded until a test asks for it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tidewire import Tidewire
    from tidewire.pytest.events import Published
    from tidewire.pytest.recorder import RecordingPublisher


@pytest.fixture
def tidewire() -> "Iterator[Tidewire]":
    """A Tidewire of the test's own: in development mode, its log in memory, without rate limits,
    and with no setting from the environment.

    To watch that of your application, write a fixture of this name that returns it.
    """
    from tidewire import Settings, Tidewire

    usual = {name: field.default for name, field in Settings.model_fields.items()}
    settings = Settings.load(**{**usual, "rate_limits": "off", "drain_seconds": 0})
    # Test clients are remote, by what they say of themselves.
    made = Tidewire(settings, dev=True, dev_allow_remote=True)
    with _ending(made):
        yield made


@pytest.fixture
def published(tidewire: "Tidewire", monkeypatch: pytest.MonkeyPatch) -> "Iterator[Published]":
    """What has been published since the test began: by the fixture ``tidewire``, in code and over
    HTTP, and by the fixture ``publisher``."""
    from tidewire.pytest.events import Published
    from tidewire.pytest.recorder import recording

    found = Published([])
    monkeypatch.setattr(tidewire, "accept", recording(tidewire.accept, found.events))
    with _ending(tidewire):
        yield found


@pytest.fixture
def publisher(published: "Published") -> "RecordingPublisher":
    """One that publishes like a ``tidewire.client.Publisher``, and nowhere but into
    ``published``."""
    from tidewire.pytest.recorder import RecordingPublisher

    return RecordingPublisher(published.events)


@contextmanager
def _ending(tidewire: "Tidewire") -> Iterator[None]:
    """Stops it when its event loop is closed, or else at the end of the test: whoever uses it next
    may have another loop."""
    start = tidewire.start
    close: dict[asyncio.AbstractEventLoop, Callable[[], None]] = {}

    async def noting_start() -> Any:
        loop = asyncio.get_running_loop()
        if loop not in close:
            close[loop] = loop.close
            # Test runners close a loop before fixtures like this one end.
            loop.close = partial(stop_and_close, loop)  # type: ignore[method-assign]
        return await start()

    def stop(loop: asyncio.AbstractEventLoop) -> None:
        if not (loop.is_closed() or loop.is_running()):
            loop.run_until_complete(tidewire.stop())

    def stop_and_close(loop: asyncio.AbstractEventLoop) -> None:
        stop(loop)
        close[loop]()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidewire, "start", noting_start)
        yield
    for loop, own in close.items():
        stop(loop)
        loop.close = own  # type: ignore[method-assign]
