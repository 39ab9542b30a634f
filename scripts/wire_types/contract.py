"""What travels on the wire, and which model of the server says so."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scripts.wire_types.shapes import (
    Alias,
    Field,
    Object,
    Reference,
    read_alias,
    read_object,
)
from scripts.wire_types.typescript import Parameter, Parameters, module
from tidewire.core import errors, event, notices, payloads
from tidewire.http.problems import Problem
from tidewire.http.routes import streams, tokens

HEAD: Final = """\
What travels on the wire. Made from the server's models by `scripts/wire-types`: change those.

Times are Unix milliseconds unless the name says otherwise."""

ALIASES: Final = {"Priority": event, "Category": errors, "Recovery": errors}
"""Names, and the modules of the server that have them."""

PAYLOADS: Final[Mapping[str, type]] = {
    "NotificationData": payloads.NotificationData,
    "SystemAlertData": payloads.SystemAlertData,
    "UpdateData": payloads.UpdateData,
}
EVENTS: Final[Mapping[str, type]] = {
    "Metadata": streams.MetadataAnswer,
    "Envelope": streams.EventAnswer,
}
CONTROLS: Final[Mapping[str, type]] = {
    "ServerInfo": notices.ServerInfo,
    "ClientInfo": notices.ClientInfo,
    "Connected": notices.ConnectedData,
    "Ping": notices.PingData,
    "Gap": streams.GapAnswer,
    "AuthExpiring": notices.AuthExpiringData,
    "Problem": Problem,
    "Disconnecting": notices.DisconnectingData,
}
ANSWERS: Final[Mapping[str, type]] = {
    "PollMeta": streams.PollMeta,
    "PollBody": streams.Polled,
    "SSETokenMetadata": tokens.TokenMetadata,
    "SSEToken": tokens.TokenAnswer,
}
MODELS: Final = {**EVENTS, **PAYLOADS, **CONTROLS, **ANSWERS}

KNOWN: Final = Object(
    "KnownPayloads",
    tuple(
        Field(type_, Reference(name))
        for type_, name in (
            ("notification", "NotificationData"),
            ("systemAlert", "SystemAlertData"),
            ("dashboardUpdate", "UpdateData"),
            ("reportUpdate", "UpdateData"),
            ("userUpdate", "UpdateData"),
        )
    ),
    doc="The payloads of the events that have a name in the contract.",
)
CONTROL_EVENTS: Final = Object(
    "ControlEvents",
    tuple(
        Field(type_, Reference(name))
        for type_, name in (
            ("connected", "Connected"),
            ("ping", "Ping"),
            ("gap", "Gap"),
            ("authExpiring", "AuthExpiring"),
            ("error", "Problem"),
            ("disconnecting", "Disconnecting"),
        )
    ),
    doc="What a stream says beside the events of the log. No published event can have such a name.",
)

PARAMETERS: Final[Parameters] = {
    "Envelope": {"type": Parameter("Type", "string"), "data": Parameter("Data")},
}


def shapes() -> Iterator[Object | Alias]:
    """All of it, in the order in which it is written down.

    Raises:
        UnknownShapeError: a model holds something that has no shape, or no name here.
    """
    names: dict[Any, str] = {model: name for name, model in MODELS.items()}
    names |= {getattr(home, name): name for name, home in ALIASES.items()}
    for name, home in ALIASES.items():
        yield read_alias(name, home, names)
    for name in (*EVENTS, *PAYLOADS):
        yield read_object(name, MODELS[name], names)
    yield KNOWN
    for name in CONTROLS:
        yield read_object(name, MODELS[name], names)
    yield CONTROL_EVENTS
    for name in ANSWERS:
        yield read_object(name, MODELS[name], names)


def source() -> str:
    """The TypeScript of all of it."""
    return module(HEAD, shapes(), PARAMETERS)
