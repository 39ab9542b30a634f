"""The command ``tidewire``."""

import gc
import os
import sys
from collections.abc import Callable


def main() -> None:
    """Runs the command; what goes wrong is told in a line, with the way to mend it."""
    # From here until what is asked for is loaded (`tidewire.serve.loading`): the command line
    # itself is a third of that. So nothing stands above that takes its time.
    gc.disable()
    try:
        _run()
    finally:
        gc.enable()


def _run() -> None:
    import typer

    from tidewire.core.errors import ConfigurationError, InvalidParameter, TidewireError
    from tidewire.serve.commandline import app

    asked: list[Callable[[], None]] = []
    try:
        try:
            app(obj=asked)
        except SystemExit as end:
            # So ends whoever reads the words, also where all is well.
            if end.code or not asked:
                raise
        # Out of the depths of that: the interpreter's stack grows by chunks, and work that goes on
        # where one ends maps the next and gives it back with every call. It did more than a
        # thousand times in a start.
        for call in asked:
            call()
    except TidewireError as error:
        typer.echo(
            f"{typer.style(f'{error.title}.', fg='red', bold=True)} {error.detail}", err=True
        )
        sys.exit(2 if isinstance(error, ConfigurationError | InvalidParameter) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads what is told, nor what the interpreter would still write at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
