"""A server whose clock is wrong, to be served as ``tests.doctor.skewed:app``."""

import os

from tests.doctor.examined import AHEAD
from tidewire import Tidewire
from tidewire.core.clock import SystemClock


class SkewedClock(SystemClock):
    """So many seconds ahead of the machine's."""

    __slots__ = ("_ahead",)

    def __init__(self, ahead: float) -> None:
        self._ahead = round(ahead * 1000)

    def now(self) -> int:
        return super().now() + self._ahead


app = Tidewire(clock=SkewedClock(float(os.environ[AHEAD]))).app
