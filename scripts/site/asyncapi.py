"""The stream as an AsyncAPI 3.0 document, made from the server's models."""

import json
from typing import Any, Final

import yaml

from scripts.site.markdown import table
from scripts.site.schemas import Schema, definitions, reference, rows, words
from scripts.site.sources import DOCS, ROOT
from scripts.wire_types.contract import CONTROL_EVENTS, KNOWN, shapes
from scripts.wire_types.shapes import Reference
from tidewire.http.app import Tidewire
from tidewire.http.settings import Settings
from tidewire.version import __version__

TARGET: Final = ROOT / DOCS / "asyncapi.yaml"
PATH: Final = "/api/sse"
HEAD: Final = "# Made from the server's models by `scripts/docs --write`: change those.\n"

_SAID: Final = {
    "connected": "The first that a stream says; its `id:` is the cursor from which it starts.",
    "ping": "A sign of life; its `id:` is a cursor to come back with.",
    "gap": "Something was missed; the `id:` is where reading goes on.",
    "authExpiring": "The authority of the stream ends soon.",
    "error": "A failure. Its `event:` is `problem`, since `error` is EventSource's own.",
    "disconnecting": "The last that a stream says, with a `retry:` where one may come back.",
}


def parameters() -> list[dict[str, Any]]:
    """What may be asked of a stream, as the HTTP description has it."""
    settings = Settings(SSE_JWT_SECRET="-" * 32)
    operation = Tidewire(settings).openapi()["paths"][PATH]["get"]
    found: list[dict[str, Any]] = operation["parameters"]
    return found


def document() -> dict[str, Any]:
    """All of it."""
    messages = {
        **{field.name: _event(field.name, field.shape) for field in KNOWN.fields},
        "custom": {
            "name": "custom",
            "title": "An event of a type of your own",
            "summary": "Its type is `event:` and `type`, its payload whatever was published.",
            "payload": reference("Envelope"),
        },
        **{field.name: _control(field.name, field.shape) for field in CONTROL_EVENTS.fields},
    }
    used = definitions(shapes())
    query = {each["name"]: _parameter(each) for each in parameters() if each["in"] == "query"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidewire, the stream",
            "version": __version__,
            "description": (
                "What a reader gets over Server-Sent Events. Times are Unix milliseconds unless "
                "the name says otherwise."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "stream": {
                "address": PATH,
                "title": "The stream",
                "description": (
                    "`text/event-stream`. Each block has an `event:` with the type, one line of "
                    "`data:`, and at its end the `id:` where there is a cursor to come back with."
                ),
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "follow": {
                "action": "send",
                "title": "Events as they happen",
                "channel": {"$ref": "#/channels/stream"},
                "messages": [{"$ref": f"#/channels/stream/messages/{name}"} for name in messages],
                "bindings": {
                    "http": {
                        "method": "GET",
                        "query": {"type": "object", "properties": query},
                        "bindingVersion": "0.3.0",
                    }
                },
            }
        },
        "components": {
            "messages": messages,
            "schemas": used,
        },
    }


def _parameter(parameter: dict[str, Any]) -> Schema:
    schema = {key: value for key, value in parameter["schema"].items() if key != "title"}
    kinds = [each for each in schema.pop("anyOf", [schema]) if each != {"type": "null"}]
    return {**schema, **kinds[0]}


def _payload(shape: Any) -> Schema:
    assert isinstance(shape, Reference)  # noqa: S101 - all that have a name are references
    return reference(shape.name)


def _event(type_: str, shape: Any) -> dict[str, Any]:
    special = {"type": {"const": type_}, "data": _payload(shape)}
    return {
        "name": type_,
        "title": f"A `{type_}`",
        "payload": {
            "allOf": [reference("Envelope"), {"type": "object", "properties": special}],
        },
    }


def _control(type_: str, shape: Any) -> dict[str, Any]:
    return {
        "name": "problem" if type_ == "error" else type_,
        "title": f"The control event `{'problem' if type_ == 'error' else type_}`",
        "summary": _SAID[type_],
        "payload": {
            "type": "object",
            "properties": {
                "type": {"const": type_},
                "timestamp": {"type": "number"},
                "priority": reference("Priority"),
                "source": {"type": "string"},
                "version": {"type": "string"},
                "data": _payload(shape),
            },
            "required": ["type", "timestamp", "priority", "source", "version", "data"],
            "additionalProperties": False,
        },
    }


def text() -> str:
    """The document as it is kept."""
    # What stands twice is one object here, and would be an alias there: those are for machines.
    plain = json.loads(json.dumps(document()))
    written: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return HEAD + written


def stale() -> list[str]:
    """What is wrong with the document that is kept."""
    if TARGET.exists() and TARGET.read_text("utf-8") == text():
        return []
    return [f"{TARGET.relative_to(ROOT)} is not what the server's models say"]


def page() -> str:
    """The document as a page."""
    described = document()
    channel = described["channels"]["stream"]
    query = described["operations"]["follow"]["bindings"]["http"]["query"]["properties"]
    parts = [
        "# The stream",
        f"`GET {channel['address']}`: {channel['description']}",
        described["info"]["description"],
        "The same as a document for machines: [asyncapi.yaml](../asyncapi.yaml), AsyncAPI 3.0. "
        "What it means is told in [the wire](../wire.md).",
        "## What may be asked",
        table(
            ("parameter", "is", "meaning"),
            [
                (f"`{name}`", words(schema), schema.get("description", ""))
                for name, schema in query.items()
            ],
        ),
        "And the header `Last-Event-ID`, which goes before `lastEventId` and `since`.",
        "## What is said",
    ]
    for message in described["components"]["messages"].values():
        payload = message["payload"]
        data = _data_of(payload)
        parts += [f"### {message['title']}", message.get("summary", "")]
        parts.append(f"`data`: {words(data)}." if data else f"The JSON: {words(payload)}.")
    parts.append("## Parts")
    for name, schema in described["components"]["schemas"].items():
        parts += [f"### {name}", schema.get("description", "")]
        found = list(rows(schema))
        parts.append(table(("field", "is", "meaning"), found) if found else words(schema))
    return "\n\n".join(part for part in parts if part) + "\n"


def _data_of(payload: Schema) -> Schema | None:
    for part in (payload, *payload.get("allOf", ())):
        if "data" in part.get("properties", {}):
            data: Schema = part["properties"]["data"]
            return data
    return None
