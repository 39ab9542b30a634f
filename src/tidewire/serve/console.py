"""Where commands print for people: results to the standard output, the rest beside it."""

from typing import Final

from rich.console import Console

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)
