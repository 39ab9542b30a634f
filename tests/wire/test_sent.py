"""What clients are told of the wire is what is really sent."""

import inspect
import typing
from typing import Any, get_args

import pytest

from scripts.wire_types import contract
from scripts.wire_types.shapes import Object, Reference
from tests.fakes import FakeClock
from tests.http.server import Block, Live, live, make_tidewire
from tests.wire.schema import Schemas
from tidewire import Event, notification, system_alert
from tidewire.core import errors, notices
from tidewire.core.event import KNOWN_TYPES, RESERVED_TYPES
from tidewire.core.frame import Control
from tidewire.core.payloads import dashboard_update, report_update, user_update

SCHEMAS = Schemas(contract.shapes())
ADMIN = {"userId": "admin", "roles": "ADMIN"}


def names_of(shape: Object) -> dict[str, str]:
    """The members of an object, and what they are called elsewhere."""
    return {
        field.name: field.shape.name for field in shape.fields if isinstance(field.shape, Reference)
    }


CONTROLS = names_of(contract.CONTROL_EVENTS)
PAYLOADS = names_of(contract.KNOWN)


def check(name: str, value: Any) -> None:
    assert SCHEMAS.misfits(name, value) == []


def check_controls(blocks: list[Block]) -> list[str]:
    """Holds control events against their types; returns which they were."""
    for block in blocks:
        envelope = block.envelope
        check(CONTROLS[envelope["type"]], envelope["data"])
        # As an event's, but for the id: it is by this that clients tell them apart.
        check("Envelope", {"id": "", **envelope})
        assert "id" not in envelope
    return [block.type for block in blocks]


def test_every_control_event_has_a_type() -> None:
    made = {
        name
        for name, function in inspect.getmembers(notices, inspect.isfunction)
        if function.__module__ == notices.__name__
        and typing.get_type_hints(function)["return"] is Control
    }
    # Within JSON a problem is an error; as an SSE name that would be EventSource's own.
    names = {name.replace("error", "problem") for name in CONTROLS}
    assert {name.replace("_", "").lower() for name in made} == {name.lower() for name in names}
    assert set(CONTROLS) < RESERVED_TYPES


async def test_a_stream_that_begins_with_a_gap_and_ends_with_its_authority() -> None:
    clock = FakeClock()
    tidewire = make_tidewire(clock=clock, ping_interval=100_000)
    async with (
        live(tidewire) as server,
        server.stream(since="1-2-abcd", clientType="test") as stream,
    ):
        opening = await stream.blocks(2)
        clock.advance(3599)
        warning = await stream.block()
        clock.advance(2)
        rest = await stream.to_end()
    told = check_controls([*opening, warning, *rest])
    assert told == ["connected", "gap", "authExpiring", "error", "disconnecting"]


async def test_a_stream_that_pings_and_is_told_to_stay_away() -> None:
    async with live(make_tidewire(ping_interval=0.05)) as server, server.stream() as stream:
        blocks = await stream.blocks(2)
        await server.tidewire.disconnect_user("alice")
        blocks += await stream.to_end()
    told = check_controls(blocks)
    assert (told[:2], told[-1]) == (["connected", "ping"], "disconnecting")
    assert blocks[-1].data["reconnectAfter"] is None


@pytest.fixture
def events() -> list[Event]:
    """One of every known type with all that it may carry, one with the least, one custom."""
    return [
        notification("Title", "text"),
        notification(
            "Title",
            "text",
            data={
                "type": "error",
                "url": "/",
                "persistent": True,
                "actions": [{"label": "Undo", "any": [1]}],
                "expires": 1,
            },
            users=["alice"],
            metadata={"userId": "bob", "sessionId": "s", "correlationId": "c", "more": [1]},
        ),
        system_alert("Title", "text", "low"),
        system_alert(
            "Title",
            "text",
            "critical",
            data={
                "alertType": "disk",
                "startTime": 1,
                "endTime": 2,
                "affectedServices": ["a"],
                "actionRequired": False,
            },
        ),
        dashboard_update({"any": {"thing": 1}}, update_type="sales"),
        report_update({}),
        user_update({"name": None}),
        Event("custom", None, priority="low", source="shop"),
    ]


async def test_events_on_streams_and_in_polls(server: Live, events: list[Event]) -> None:
    async with server.stream() as stream:
        await stream.block()
        await server.tidewire.publish(events)
        streamed = [block.envelope for block in await stream.blocks(len(events))]
    body = await server.poll()
    check("PollBody", body)
    assert body["events"] == streamed
    for envelope in streamed:
        check("Envelope", envelope)
        if envelope["type"] in PAYLOADS:
            check(PAYLOADS[envelope["type"]], envelope["data"])
    assert {envelope["type"] for envelope in streamed} == {*KNOWN_TYPES, "custom"}
    assert set(PAYLOADS) == set(KNOWN_TYPES)


async def test_polls_with_and_without_everything(server: Live) -> None:
    await server.tidewire.publish([Event("news", number) for number in range(3)])
    check("PollBody", await server.poll(since="latest"))
    filtered = await server.poll(limit=1, types="news,other", wait=1)
    check("PollBody", filtered)
    assert filtered["hasMore"]
    assert filtered["meta"]["filters"]["types"] == ["news", "other"]
    missed = await server.poll(since="1-2-abcd")
    check("PollBody", missed)
    assert missed["gap"] is not None


@pytest.mark.parametrize("roles", ["", "EDITOR,READER"])
async def test_tokens(server: Live, roles: str) -> None:
    asked = {"userId": "alice", "permissions": "publish", **({"roles": roles} if roles else {})}
    token = (await server.http.get("/api/auth/sse-token", params=asked)).json()
    check("SSEToken", token)
    assert (token["metadata"]["role"] is None) == (roles == "")


async def test_problems(server: Live) -> None:
    get, post = server.http.get, server.http.post
    for answer in (
        await get("/api/sse"),
        await get("/api/sse", params={"userId": "alice", "since": "nonsense"}),
        await post("/api/sse"),
        await get("/nowhere"),
        await post("/api/realtime/publish", params=ADMIN, json={"events": [{}]}),
    ):
        assert answer.status_code >= 400
        check("Problem", answer.json())


def every(error: type[errors.TidewireError]) -> list[type[errors.TidewireError]]:
    return [error, *(found for each in error.__subclasses__() for found in every(each))]


@pytest.mark.parametrize("error", every(errors.TidewireError), ids=lambda error: error.__name__)
def test_every_error_is_of_a_known_category_and_recovery(error: type[errors.TidewireError]) -> None:
    assert error.category in get_args(errors.Category)
    assert error.recovery in get_args(errors.Recovery)
    check("Category", error.category)
    check("Recovery", error.recovery)


@pytest.mark.parametrize(
    ("name", "value", "misfits"),
    [
        ("Disconnecting", {"reason": "r", "reconnectAfter": None}, 0),
        ("Disconnecting", {"reason": "r"}, 1),
        ("Disconnecting", {"reason": 1, "reconnectAfter": 1}, 1),
        ("Disconnecting", {"reason": "r", "reconnectAfter": 1, "more": 1}, 1),
        ("Gap", {"from": "a", "to": "b", "reason": "bored"}, 1),
        ("Metadata", {"userId": "a", "more": 1}, 0),
        ("Metadata", {"userId": None}, 1),
    ],
)
def test_what_does_not_fit_is_found(name: str, value: Any, misfits: int) -> None:
    assert len(SCHEMAS.misfits(name, value)) == misfits
