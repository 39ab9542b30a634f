"""Tokens for streams: getting one, and extending an open stream by one."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from tidewire.http.answers import UNCACHED, Answer
from tidewire.http.bodies import RefreshBody, parse_model, read_body
from tidewire.http.endpoints import Description, Endpoint
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


def token_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/auth/sse-token`` and its refresh."""

    async def sse_token(request: Request) -> Response:
        identity = await service.authenticate(request)
        await service.gate.spend(request, "token", identity)
        issued = service.access.issue_token(identity)
        roles = sorted(identity.roles)
        answer = TokenAnswer(
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
        return answer.response(UNCACHED)

    yield Endpoint(
        "/api/auth/sse-token",
        sse_token,
        description=Description(
            "Get a token for streams", tag="authentication", answer=TokenAnswer, problems=(501,)
        ),
    )

    async def refresh(request: Request) -> Response:
        identity = await service.authenticate(request)
        await service.gate.spend(request, "token", identity)
        asked = parse_model(RefreshBody, await read_body(request))
        expires_at, fence = await service.refresh(asked.client_id, service.access.confirm(identity))
        return RefreshAnswer(expiresAt=expires_at, fence=fence).response()

    yield Endpoint(
        "/api/auth/sse-token/refresh",
        refresh,
        methods=("POST",),
        description=Description(
            "Extend an open stream by a new token",
            tag="authentication",
            answer=RefreshAnswer,
            problems=(404, 413, 422),
            body=RefreshBody.model_json_schema,
        ),
    )
