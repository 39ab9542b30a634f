"""Publishing over HTTP, and trying it out."""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.errors import InvalidEvent, InvalidParameter
from tidewire.core.event import KNOWN_TYPES, Event, encode_json
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE, Identity, Target
from tidewire.http.answers import Answer
from tidewire.http.bodies import (
    TestBody,
    parse_events,
    parse_model,
    publish_schema,
    read_body,
)
from tidewire.http.endpoints import Description, Endpoint, header
from tidewire.http.service import Service

MAX_KEY_BYTES: Final = 255


class Published(Answer):
    """The ids of what was accepted, in the order of the request."""

    ids: list[str]
    durable: bool


class Tested(Answer):
    """What was published to try it out."""

    success: bool
    eventId: str  # noqa: N815 - the name on the wire
    type: str
    target: str
    targetValue: str | None  # noqa: N815
    timestamp: int
    hint: str | None = None


def publishing_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/realtime/publish`` and ``/api/realtime/test``."""

    async def publish(request: Request) -> Response:
        identity = await service.authenticate(request)
        service.access.check_may_publish(identity)
        await service.gate.spend(request, "publish", identity)
        body = await read_body(request)
        # A body may take its time; who sends it must still be allowed to when it is there.
        service.access.check_may_publish(service.access.confirm(identity))
        events = parse_events(body)
        accepted = await service.accept(events, key=_key(request, identity, body))
        return Response(
            encode_json({"ids": accepted.ids, "durable": accepted.durable}),
            200 if accepted.durable else 202,
            media_type="application/json",
        )

    yield Endpoint(
        "/api/realtime/publish",
        publish,
        methods=("POST",),
        description=Description(
            "Publish one event, or several",
            tag="publishing",
            answer=Published,
            answers={
                202: {
                    "description": "Accepted, and lost if this node dies before the log is back.",
                    "model": Published,
                },
            },
            problems=(413, 422),
            in_headers=(
                header(
                    "Idempotency-Key",
                    "The same again within ten minutes, with the same body: the same ids.",
                    minLength=1,
                    maxLength=MAX_KEY_BYTES,
                ),
            ),
            body=publish_schema,
        ),
    )

    async def test(request: Request) -> Response:
        identity = await service.authenticate(request)
        await service.gate.spend(request, "publish", identity)
        asked = parse_model(TestBody, await read_body(request))
        identity = service.access.confirm(identity)
        value = asked.target_value
        if asked.target == "user" and value is None:
            value = identity.user_id
        if asked.target != "user" or value != identity.user_id:
            service.access.check_may_publish(identity)
        data = asked.data
        if asked.message is not None:
            data = {"message": asked.message, **data}
        event = Event(asked.type, data, priority=asked.priority, target=_target(asked, value))
        event_id = await service.publish(event)
        hint = _hint(asked.type)
        answer = Tested(
            success=True,
            eventId=event_id,
            type=asked.type,
            target=asked.target,
            targetValue=value,
            timestamp=Position.parse(event_id).ms,
            **({} if hint is None else {"hint": hint}),
        )
        return answer.response(exclude_unset=True)

    yield Endpoint(
        "/api/realtime/test",
        test,
        methods=("POST",),
        description=Description(
            "Publish something to see it arrive",
            tag="publishing",
            answer=Tested,
            problems=(413, 422),
            body=TestBody.model_json_schema,
        ),
    )


def _target(asked: TestBody, value: str | None) -> Target:
    if asked.target == "broadcast":
        if value is not None:
            raise InvalidEvent(
                "A broadcast reaches everyone and takes no targetValue. Leave it out, or say "
                "whether it is a user or a role.",
                field="targetValue",
            )
        return EVERYONE
    if asked.target == "user":
        return Target.of(users=[value or ""])
    return Target.of(roles=[value or ""])


def _hint(type_: str) -> str | None:
    folded = _folded(type_)
    for known in KNOWN_TYPES:
        if type_ != known and _folded(known) == folded:
            return f"There is a known type {known!r}; {type_!r} is another one to every client."
    return None


def _folded(type_: str) -> str:
    return type_.replace("-", "").replace("_", "").lower()


def _key(request: Request, identity: Identity, body: bytes) -> IdempotencyKey | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    # Starlette decodes headers as Latin-1: a character is a byte.
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise InvalidParameter(
            f"Idempotency-Key must have 1–{MAX_KEY_BYTES} bytes.", parameter="Idempotency-Key"
        )
    scope = json.dumps([identity.user_id, key])
    return IdempotencyKey(scope, hashlib.sha256(body).hexdigest())
