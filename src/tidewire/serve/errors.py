"""What goes wrong between the command and what it was pointed at."""

from typing import ClassVar

from tidewire.core.errors import ConfigurationError, Recovery, TidewireError


class NoSuchApplication(ConfigurationError):
    """The ``module:app`` to serve is not there."""

    title = "No such application"


class Unreachable(TidewireError):
    """No server answers at the address."""

    title = "The server cannot be reached"
    recovery: ClassVar[Recovery] = "retry"
