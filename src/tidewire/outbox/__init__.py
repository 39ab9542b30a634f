"""Publishing what a SQL transaction has committed: all of it, once, in order.

    outbox = Outbox(Base.metadata)              # the table tidewire_outbox
    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.add(session, notification("Thank you", "It is on its way", users=["alice"]))

    async with Relay(async_engine, tidewire.publish):
        ...

Needs what ``tidewire[outbox]`` installs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidewire.outbox.relay import Publish, Publishing, Relay
    from tidewire.outbox.table import Outbox

__all__ = ["Outbox", "Publish", "Publishing", "Relay"]

# An application that only adds to it does not load what relays.
_HOMES: Final = {
    "Outbox": "table",
    "Publish": "relay",
    "Publishing": "relay",
    "Relay": "relay",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
