"""Tokens for streams: getting one, and extending an open stream by one."""

from fastapi import APIRouter, Request, Response

from tidewire.http.answers import Answer
from tidewire.http.bodies import RefreshBody, body_schema, parse_model, read_body
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service


class TokenMetadata(Answer):
    """What the token says beside who it is for."""

    role: str | None
    roles: list[str]
    permissions: list[str]


class TokenAnswer(Answer):
    """A token for streams. Times are Unix milliseconds."""

    token: str
    expiresAt: int  # noqa: N815 - the names on the wire
    refreshAfter: int  # noqa: N815
    userId: str  # noqa: N815
    metadata: TokenMetadata


class RefreshAnswer(Answer):
    """Until when the stream may stay open (Unix milliseconds), and from where on the new
    credential is asked."""

    expiresAt: int  # noqa: N815 - the name on the wire
    fence: str


def add_token_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/api/auth/sse-token`` and its refresh."""

    @router.get(
        "/api/auth/sse-token",
        summary="Get a token for streams",
        response_model=TokenAnswer,
        responses=problem_responses(501),
        tags=["authentication"],
    )
    async def sse_token(request: Request, response: Response) -> TokenAnswer:
        identity = await service.authenticate(request)
        await service.gate.spend(request, "token", identity)
        issued = service.access.issue_token(identity)
        response.headers["Cache-Control"] = "no-store"
        roles = sorted(identity.roles)
        return TokenAnswer(
            token=issued.token,
            expiresAt=issued.expires_at,
            refreshAfter=issued.refresh_after,
            userId=identity.user_id,
            metadata=TokenMetadata(
                role=roles[0] if roles else None,
                roles=roles,
                permissions=sorted(identity.permissions),
            ),
        )

    @router.post(
        "/api/auth/sse-token/refresh",
        summary="Extend an open stream by a new token",
        response_model=RefreshAnswer,
        responses=problem_responses(404, 413, 422),
        openapi_extra=body_schema(RefreshBody.model_json_schema),
        tags=["authentication"],
    )
    async def refresh(request: Request) -> RefreshAnswer:
        identity = await service.authenticate(request)
        await service.gate.spend(request, "token", identity)
        asked = parse_model(RefreshBody, await read_body(request))
        expires_at, fence = await service.refresh(asked.client_id, service.access.confirm(identity))
        return RefreshAnswer(expiresAt=expires_at, fence=fence)
