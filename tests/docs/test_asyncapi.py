"""The document of the stream, held against what a server really says."""

import asyncio
import json
from typing import Any

import jsonschema_rs
import pytest
import yaml
from httpx_sse import aconnect_sse

from scripts.site import asyncapi
from tests.http.server import live, make_tidewire
from tidewire import Event, notification, system_alert


def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(asyncapi.TARGET.read_text("utf-8"))
    return found


def payload(name: str) -> dict[str, Any]:
    """The schema of what a message carries, with what it refers to."""
    parts = document()["components"]
    return {**parts["messages"][name]["payload"], "components": {"schemas": parts["schemas"]}}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def test_each_reference_leads_to_something() -> None:
    whole = document()
    for reference in references(whole):
        part: Any = whole
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert part


def test_it_is_of_version_3_and_has_the_path_and_the_parameters_of_the_stream() -> None:
    whole = document()
    assert whole["asyncapi"] == "3.0.0"
    assert whole["channels"]["stream"]["address"] == "/api/sse"
    query = whole["operations"]["follow"]["bindings"]["http"]["query"]["properties"]
    assert {"types", "topics", "since", "lastEventId", "token", "named"} <= query.keys()


async def test_what_a_server_says_is_what_the_document_says() -> None:
    async with live(make_tidewire()) as server:
        stream = aconnect_sse(
            server.http, "GET", "/api/sse?userId=alice&since=1764000000000-9-zzzz"
        )
        said: dict[str, Any] = {}
        async with asyncio.timeout(10), stream as source:
            events = source.aiter_sse()
            async for event in events:
                said[event.event] = json.loads(event.data)
                if event.event == "gap":
                    await server.tidewire.publish(
                        [
                            notification("a", "b", users=["alice"]),
                            system_alert("c", "d", "high"),
                            Event("tick", [1]),
                        ]
                    )
                if event.event == "tick":
                    break
    assert said.keys() == {"connected", "gap", "notification", "systemAlert", "tick"}
    for name, value in said.items():
        errors = list(
            jsonschema_rs.iter_errors(payload("custom" if name == "tick" else name), value)
        )
        assert not errors, (name, errors)


@pytest.mark.parametrize("name", ["connected", "notification"])
def test_what_a_server_would_never_say_does_not_fit(name: str) -> None:
    assert list(jsonschema_rs.iter_errors(payload(name), {"type": name, "data": {}}))
