"""What a server may offer to what runs in it."""

from typing import Final

DRAIN_EXTENSION: Final = "tidewire.drain"
"""In ``scope["extensions"]``, from a server that tells of its shutdown: takes a coroutine
function to call before it waits for what is open. `tidewire.serve.Protocol` offers it, under any
uvicorn."""
