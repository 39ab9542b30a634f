"""What goes wrong between the command and what it was pointed at."""

from tidewire.core.errors import ConfigurationError


class NoSuchApplication(ConfigurationError):
    """The ``module:app`` to serve is not there."""

    title = "No such application"
