"""What administrators do to credentials."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.errors import InvalidEvent
from tidewire.http.bodies import RevokeBody, parse_model, read_body
from tidewire.http.endpoints import Description, Endpoint
from tidewire.http.service import Service


def administration_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/auth/revoke``."""

    async def revoke(request: Request) -> Response:
        identity = await service.access.administrator(request)
        asked = parse_model(RevokeBody, await read_body(request))
        service.access.check_admin(service.access.confirm(identity))
        if (asked.jti is None) == (asked.user_id is None):
            raise InvalidEvent("Name either 'jti' or 'userId'.", field="jti")
        everywhere = await service.revoke(token_id=asked.jti, user_id=asked.user_id)
        # 202: this node knows; the others will when the log is back.
        return Response(status_code=204 if everywhere else 202)

    yield Endpoint(
        "/api/auth/revoke",
        revoke,
        methods=("POST",),
        description=Description(
            "Revoke a token, or all that a user holds",
            tag="administration",
            status=204,
            answers={202: {"description": "Known here, and on other nodes once the log is back."}},
            problems=(413, 422),
            body=RevokeBody.model_json_schema,
        ),
    )
