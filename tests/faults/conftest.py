from functools import partial

import pytest

from tidewire.client import client, probes, recovery, signals
from tidewire.client.backoff import Backoff
from tidewire.client.model import Settings


@pytest.fixture(autouse=True)
def _hasty_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the table lasts for seconds. What the Python client does within minutes of one it
    does within it: give up streams, poll, try streams beside the polls, and come back to them."""
    monkeypatch.setattr(client, "Settings", partial(Settings, backoff=Backoff(50, 3_000)))
    monkeypatch.setattr(signals, "POLL_SPACING", 55)
    monkeypatch.setattr(recovery, "SPREAD", 100)
    monkeypatch.setattr(probes, "PROBE_FIRST", 1_000)
    monkeypatch.setattr(probes, "PROBE_LAST", 4_000)
    monkeypatch.setattr(probes, "FLAP_REST", (1_000, 4_000))
