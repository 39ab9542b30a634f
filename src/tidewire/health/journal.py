"""A journal that tells the standard ``logging`` what went wrong."""

import logging


class LoggingJournal:
    """Notes on the logger ``tidewire``; what was raised goes in as its class and message."""

    __slots__ = ("_logger",)

    def __init__(self) -> None:
        self._logger = logging.getLogger("tidewire")

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        details = [f"{key}={value}" for key, value in sorted(context.items())]
        if error is not None:
            details.append(f"{type(error).__name__}: {error}")
        self._logger.warning("%s%s", what, " (" + ", ".join(details) + ")" if details else "")
