"""What administrators do to credentials."""

from fastapi import APIRouter, Request, Response

from tidewire.core.errors import InvalidEvent
from tidewire.http.bodies import RevokeBody, body_schema, parse_model, read_body
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service


def add_administration_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/api/auth/revoke``."""

    @router.post(
        "/api/auth/revoke",
        summary="Revoke a token, or all that a user holds",
        status_code=204,
        responses={
            202: {"description": "Known here, and on other nodes once the log is back."},
            **problem_responses(413, 422),
        },
        openapi_extra=body_schema(RevokeBody.model_json_schema),
        tags=["administration"],
    )
    async def revoke(request: Request) -> Response:
        identity = await service.access.administrator(request)
        asked = parse_model(RevokeBody, await read_body(request))
        service.access.check_admin(service.access.confirm(identity))
        if (asked.jti is None) == (asked.user_id is None):
            raise InvalidEvent("Name either 'jti' or 'userId'.", field="jti")
        everywhere = await service.revoke(token_id=asked.jti, user_id=asked.user_id)
        # 202: this node knows; the others will when the log is back.
        return Response(status_code=204 if everywhere else 202)
