"""What can go wrong, split by who has to do something about it.

    TidewireError
    ├── RequestError                 the sender's words are off: mend them and send again
    │   ├── InvalidParameter         a query parameter, header or path value          400
    │   │   └── InvalidCursor        a cursor that no log could have written           400
    │   ├── InvalidBody              a body that is not JSON of the documented form    400
    │   ├── InvalidEvent             an event that must not enter the log              422
    │   ├── EventTooLarge            an event or a body over its limit                 413
    │   ├── IdempotencyConflict      the same key, another body                        422
    │   └── NotFound                 no such stream, or not yours                      404
    ├── AuthenticationError          the credential is missing or not good             401
    │   ├── InvalidToken             malformed, or signed by nobody whom we trust
    │   │   ├── TokenTooLarge        longer than any that we read
    │   │   ├── WrongAlgorithm       signed in a way that we do not take
    │   │   ├── WrongIssuer          made by somebody else
    │   │   ├── WrongAudience        made for somebody else
    │   │   ├── WrongType            made for another use
    │   │   └── NotYetValid          good later
    │   ├── ExpiredToken
    │   ├── StaleSession             a session cookie that is over, or not of this server
    │   ├── CredentialConflict       two good credentials of different users           401
    │   ├── RevokedCredential        it was good until somebody decided otherwise      401
    │   └── Forbidden                a good credential that may not do this            403
    ├── LimitError                   too much at once: poll until there is room
    │   ├── RateLimited              too often                                         429
    │   └── TooManyConnections       too many at a time                                429
    ├── ServiceError                 ours: try again later, or tell the operator
    │   ├── Unavailable              not started, or deaf                              503
    │   │   ├── LogAway              the log cannot be reached                         503
    │   │   ├── SpoolFull            the log is away, and so is the room to wait for it 503
    │   │   ├── NodeFull             as many connections as it can hold                503
    │   │   └── Draining             going down, come back in a moment                 503
    │   └── NotConfigured            a setting is missing for this endpoint            501
    └── ConfigurationError           refuses to start; never an answer over HTTP

Every error carries the code, category and recovery of the wire contract. ``status`` is a hint
for the HTTP edge; nothing below it speaks HTTP.
"""

from typing import Any, ClassVar, Literal

Category = Literal[
    "connection", "authentication", "rate_limit", "server", "client", "validation", "timeout"
]
"""What kind of failure it is."""
Recovery = Literal["retry", "refresh_token", "fallback_polling", "restart_connection", "none"]
"""What a client does about a failure."""


class TidewireError(Exception):
    """Base of every error that Tidewire raises on purpose.

    Attributes:
        detail: one or two sentences: what is wrong, where, and how to mend it.
        retry_after: milliseconds to wait before trying again, or None.
        extra: further members of the problem, such as ``index`` or ``parameter``.
    """

    code: ClassVar[str] = "SERVER_ERROR"
    title: ClassVar[str] = "Something failed"
    status: ClassVar[int] = 500
    category: ClassVar[Category] = "server"
    recovery: ClassVar[Recovery] = "restart_connection"
    retryable: ClassVar[bool] = True

    def __init__(self, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The error as a problem of RFC 9457, for an answer or for the stream."""
        return {
            "type": f"urn:tidewire:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "category": self.category,
            "retryable": self.retryable,
            "retryAfter": self.retry_after,
            "recovery": self.recovery,
            **self.extra,
        }


class RequestError(TidewireError):
    """The request cannot be carried out as it stands."""

    code = "VALIDATION_REQUEST"
    title = "The request is not valid"
    status = 400
    category: ClassVar[Category] = "validation"
    recovery: ClassVar[Recovery] = "none"
    retryable = False


class InvalidParameter(RequestError):
    """A query parameter or header has a value outside its documented form."""

    code = "VALIDATION_PARAMETER"
    title = "A parameter is not valid"


class InvalidCursor(InvalidParameter):
    """Text where a cursor should stand, that no log could have written."""

    code = "VALIDATION_CURSOR"
    title = "The cursor is malformed"


class InvalidBody(RequestError):
    """The body is not JSON, or not of the documented form."""

    code = "VALIDATION_BODY"
    title = "The body is not valid"


class InvalidEvent(RequestError):
    """The event breaks a rule of the event format."""

    code = "VALIDATION_EVENT"
    title = "The event is not valid"
    status = 422


class EventTooLarge(RequestError):
    """The event, or the body that holds it, is over its size limit."""

    code = "VALIDATION_TOO_LARGE"
    title = "Too large"
    status = 413


class IdempotencyConflict(RequestError):
    """An idempotency key came again with another body."""

    code = "VALIDATION_IDEMPOTENCY"
    title = "The idempotency key was used for another body"
    status = 422

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another body within the last ten minutes. "
            "Use a new key for a new publish."
        )


class NotFound(RequestError):
    """What the request names does not exist, or is not the caller's."""

    code = "CLIENT_NOT_FOUND"
    title = "Not found"
    status = 404
    category: ClassVar[Category] = "client"


class AuthenticationError(TidewireError):
    """Nobody, or nobody that we can be sure of."""

    code = "AUTH_REQUIRED"
    title = "A credential is needed"
    status = 401
    category: ClassVar[Category] = "authentication"
    recovery: ClassVar[Recovery] = "refresh_token"
    retryable = False


class InvalidToken(AuthenticationError):
    """The token is malformed, badly signed, or meant for something else."""

    code = "AUTH_INVALID_TOKEN"
    title = "The token is not valid"


class TokenTooLarge(InvalidToken):
    """The token is longer than any that is read."""

    code = "AUTH_TOKEN_TOO_LARGE"
    title = "The token is too large"


class WrongAlgorithm(InvalidToken):
    """The token names an algorithm that this server does not take, or not with that key."""

    code = "AUTH_WRONG_ALGORITHM"
    title = "The token is signed in a way that is not taken"


class WrongIssuer(InvalidToken):
    """The token was made by somebody else than the configured issuer."""

    code = "AUTH_WRONG_ISSUER"
    title = "The token was made by another issuer"


class WrongAudience(InvalidToken):
    """The token was made for another service."""

    code = "AUTH_WRONG_AUDIENCE"
    title = "The token was made for another service"


class WrongType(InvalidToken):
    """The token was made for another use."""

    code = "AUTH_WRONG_TYPE"
    title = "The token was made for another use"


class NotYetValid(InvalidToken):
    """The token will be good later, says one of the two clocks."""

    code = "AUTH_NOT_YET_VALID"
    title = "The token is not valid yet"


class ExpiredToken(AuthenticationError):
    """The token was good once."""

    code = "AUTH_EXPIRED_TOKEN"
    title = "The token has expired"


class CredentialConflict(AuthenticationError):
    """A session and a token, both verified, name different users."""

    code = "AUTH_CONFLICT"
    title = "The credentials contradict each other"


class RevokedCredential(AuthenticationError):
    """The credential was revoked before its time."""

    code = "AUTH_REVOKED"
    title = "The credential was revoked"


class StaleSession(AuthenticationError):
    """A session cookie that has ended, was changed, or was made with another secret.

    Browsers keep sending such a cookie on their own, so beside it a verified token may decide.
    """

    code = "AUTH_STALE_SESSION"
    title = "The session is over"


class Forbidden(AuthenticationError):
    """We know who asks; this is not for them."""

    code = "AUTH_FORBIDDEN"
    title = "Not allowed"
    status = 403
    recovery: ClassVar[Recovery] = "none"


class LimitError(TidewireError):
    """The request is fine; there are too many like it. Poll until there is room again."""

    status = 429
    category: ClassVar[Category] = "rate_limit"
    recovery: ClassVar[Recovery] = "fallback_polling"


class RateLimited(LimitError):
    """Too often within the time of a rate limit."""

    code = "RATE_LIMIT_EXCEEDED"
    title = "Too many requests"


class TooManyConnections(LimitError):
    """One user has as many open streams and held polls as one may have."""

    code = "TOO_MANY_CONNECTIONS"
    title = "Too many connections"


class ServiceError(TidewireError):
    """The request is fine; this server cannot carry it out."""


class Unavailable(ServiceError):
    """This node cannot accept or deliver at the moment."""

    code = "SERVER_UNAVAILABLE"
    title = "Not available"
    status = 503
    category: ClassVar[Category] = "connection"
    recovery: ClassVar[Recovery] = "retry"


class LogAway(Unavailable):
    """The log cannot be reached, or takes nothing.

    What is told to whoever asked is that it is away. ``str()`` of the error says why, in the
    words of the log's own server, which are for operators.

    Attributes:
        reason: why.
        in_doubt: whether what was asked for may have been done all the same.
    """

    code = "LOG_AWAY"
    title = "The log is away"

    def __init__(self, reason: str, *, in_doubt: bool = False) -> None:
        super().__init__(
            "The log of this server cannot be reached. Try again in a moment.", retry_after=1_000
        )
        self.reason = reason
        self.in_doubt = in_doubt

    def __str__(self) -> str:
        return self.reason

    def again(self) -> "LogAway":
        """The same, to be raised anew: an error that is kept keeps all that it passes."""
        return LogAway(self.reason, in_doubt=self.in_doubt)


class SpoolFull(Unavailable):
    """The log is away, and the spool that stands in for it takes no more."""

    code = "SPOOL_FULL"
    title = "The spool is full"


class NodeFull(Unavailable):
    """This node holds as many connections as it can; another one may have room."""

    code = "NODE_FULL"
    title = "The server is full"


class Draining(Unavailable):
    """This node is going down; another one, or this one restarted, will serve."""

    code = "DRAINING"
    title = "The server is going down"


class NotConfigured(ServiceError):
    """The endpoint needs a setting that is not set."""

    code = "SERVER_NOT_CONFIGURED"
    title = "A setting is missing"
    status = 501
    recovery: ClassVar[Recovery] = "none"
    retryable = False


class ConfigurationError(TidewireError):
    """The settings do not describe a server that could run safely. Raised at start."""

    code = "CONFIGURATION"
    title = "The configuration cannot be used"
    recovery: ClassVar[Recovery] = "none"
    retryable = False
