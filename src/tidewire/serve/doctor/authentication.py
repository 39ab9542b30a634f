"""Whether the server knows who asks, and what it says to those whom it does not."""

from dataclasses import dataclass
from typing import Final

from tidewire.serve.doctor import mends
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import Answer, Wire

NONE: Final = "auth.none"
BAD: Final = "auth.bad"
EXPIRED: Final = "auth.expired"
TOKEN: Final = "auth.token"
HEADER: Final = "auth.header"
QUERY: Final = "auth.query"

CURSOR: Final = "/api/realtime/cursor"
"""What needs a credential, and is counted against no rate."""

NOT_A_TOKEN: Final = "tidewire.doctor.asks"
REQUIRED: Final = "AUTH_REQUIRED"
ASKED_OF_TIME: Final = frozenset({"AUTH_EXPIRED_TOKEN", "AUTH_NOT_YET_VALID"})

OPEN: Final = (
    "Let nothing before the server answer for it or add credentials of its own.\n"
    'nginx: no `proxy_set_header Authorization "Bearer …"`, and `proxy_cache off;` on /api/.\n'
    "Caddy: no `header_up Authorization`. HAProxy: no `http-request set-header Authorization`."
)

TOKEN_MENDS: Final = {
    "AUTH_EXPIRED_TOKEN": "Get a new token: GET /api/auth/sse-token with a session, or "
    "`tidewire token --user ID` on the server's machine.",
    "AUTH_NOT_YET_VALID": "Set the clock of who issues tokens, or of the server (clock.server).",
    "AUTH_WRONG_AUDIENCE": "Issue the token for 'tidewire', or name its audience in "
    "TIDEWIRE_JWT_AUDIENCES.",
    "AUTH_WRONG_ISSUER": "Set TIDEWIRE_JWT_ISSUER to the 'iss' of the tokens.",
    "AUTH_WRONG_TYPE": "Get a token for streams: GET /api/auth/sse-token.",
    "AUTH_WRONG_ALGORITHM": "Sign with HS256 and the secret of the server, or set TIDEWIRE_JWKS "
    "to the keys of the issuer.",
    "AUTH_REVOKED": "It was revoked by an administrator. Get a new one.",
}

SECRET_MEND: Final = (
    "Set the same SSE_JWT_SECRET (or NEXTAUTH_SECRET) where tokens are issued and on every server. "
    "To change it, list both for a while, the new one first: SSE_JWT_SECRET=new,old. Quotes and "
    "spaces around it are part of it."
)


@dataclass(frozen=True, slots=True)
class Authentication:
    """What the server said to each credential.

    Attributes:
        none: to none.
        bad: to a token that is none, in the header.
        bad_query: to the same in the query, where the first seems not to have arrived.
        expired: to a token that was good; None: there is no secret to sign one.
        given: to the credential of the doctor; None: it has none.
        by_query: to the same in the query, where the header seems not to have arrived.
        credential: what works; None if nothing does.
    """

    none: Answer
    bad: Answer
    bad_query: Answer | None
    expired: Answer | None
    given: Answer | None
    by_query: Answer | None
    credential: Credential | None

    @property
    def header_lost(self) -> bool:
        """Whether the Authorization header does not arrive, and would be read if it did."""
        told = self.bad_query is not None and self.bad_query.code not in (None, REQUIRED)
        return self.bad.code == REQUIRED and told


async def ask(
    wire: Wire, credential: Credential | None, expired: Credential | None
) -> Authentication:
    """Asks with each credential.

    Raises:
        NoAnswer: to one there was no answer.
    """
    none = await wire.ask("GET", CURSOR)
    nonsense = Credential("header", NOT_A_TOKEN)
    bad = await wire.ask("GET", CURSOR, nonsense)
    bad_query = None
    if bad.code == REQUIRED:
        bad_query = await wire.ask("GET", CURSOR, nonsense.by_query())
    old = None if expired is None else await wire.ask("GET", CURSOR, expired)
    given = by_query = None
    works = credential
    if credential is not None:
        given = await wire.ask("GET", CURSOR, credential)
        if given.code == REQUIRED and credential.way == "header":
            works = credential.by_query()
            by_query = await wire.ask("GET", CURSOR, works)
        if (by_query or given).status != 200:
            works = None
    return Authentication(none, bad, bad_query, old, given, by_query, works)


def judge(seen: Authentication, credential: Credential | None, *, skewed: bool) -> list[Finding]:
    """Each credential, and the ways to send it.

    Args:
        seen: what was said.
        credential: what the doctor was given.
        skewed: whether the clocks are so far apart that times in tokens mean nothing.
    """
    return [
        _none(seen.none),
        _bad(seen),
        _expired(seen),
        _token(seen, credential, skewed=skewed),
        _header(seen, credential),
        _query(seen, credential),
    ]


def _none(answer: Answer) -> Finding:
    measured = {"status": answer.status, "code": answer.code}
    if answer.status == 200:
        return failed(NONE, "Whoever shows no credential gets an answer.", OPEN, measured)
    if answer.status == 429:
        return skipped(NONE, "Too many failed authentications came from this address (429).")
    if answer.status == 401 and answer.code is not None:
        told = f"Without a credential: {answer.told}"
        return passed(NONE, told, measured)
    return failed(
        NONE,
        f"Without a credential the answer is {answer.told}, and should be a problem with 401: by "
        "it clients know that they need a token.",
        "Let the proxy pass on 401 as it comes. nginx: no `proxy_intercept_errors on` and no "
        "`error_page 401` on /api/.",
        measured,
    )


def _bad(seen: Authentication) -> Finding:
    answer = seen.bad
    measured = {"status": answer.status, "code": answer.code}
    if answer.status == 200:
        return failed(BAD, "A token that is none gets an answer.", OPEN, measured)
    if answer.status == 429:
        return skipped(BAD, "Too many failed authentications came from this address (429).")
    if answer.code == REQUIRED:
        if seen.header_lost:
            return skipped(BAD, "It does not arrive: see auth.header.")
        return skipped(BAD, "The server takes no tokens, only sessions.")
    if answer.status == 401 and answer.code is not None:
        return passed(BAD, f"A token that is none: {answer.told}", measured)
    if answer.code is None and seen.none.code is None:
        return skipped(BAD, "Problems of the server do not arrive: see auth.none.")
    return failed(
        BAD,
        f"To a token that is none the answer is {answer.told}, and should be a problem with 401.",
        "Let the proxy pass on 401 as it comes.",
        measured,
    )


def _expired(seen: Authentication) -> Finding:
    answer = seen.expired
    if answer is None:
        return skipped(EXPIRED, "To sign an expired token takes the secret of the server.")
    if seen.header_lost:
        return skipped(EXPIRED, "It does not arrive: see auth.header.")
    measured = {"status": answer.status, "code": answer.code}
    if answer.code == "AUTH_EXPIRED_TOKEN":
        return passed(EXPIRED, f"An expired token: {answer.told}", measured)
    if answer.status == 200:
        return failed(
            EXPIRED,
            "A token that expired an hour ago is good.",
            "Look at the clock of the server (clock.server), and let nothing before it answer "
            "from a cache.",
            measured,
        )
    return skipped(EXPIRED, f"That could not be seen: {answer.told}")


def _token(seen: Authentication, credential: Credential | None, *, skewed: bool) -> Finding:
    if credential is None or seen.given is None:
        return skipped(
            TOKEN,
            "There is no credential, so all that needs one was left out.",
            "Give --token, or set SSE_JWT_SECRET as the server has it; with a development server "
            "--user NAME does.",
        )
    answer = seen.by_query or seen.given
    measured = {"status": answer.status, "code": answer.code}
    if answer.status == 200:
        what = "name" if credential.way == "parameter" else "token"
        return passed(TOKEN, f"The server takes the {what} that was given.", measured)
    if skewed and answer.code in ASKED_OF_TIME:
        return skipped(TOKEN, f"The clocks are apart (clock.server): {answer.told}")
    if answer.status == 429:
        return skipped(TOKEN, "Too many requests came before this one: see limits.rates.")
    if credential.way == "parameter":
        mend = "A name is taken only by a development server (tidewire serve --dev). Give --token."
    elif answer.code == "AUTH_INVALID_TOKEN":
        mend = SECRET_MEND
    else:
        mend = TOKEN_MENDS.get(answer.code or "", "See docs/wire.md, Errors.")
    signed = " It was signed by the secret in this environment." if credential.signed_here else ""
    return failed(TOKEN, f"The server refuses the token: {answer.told}{signed}", mend, measured)


def _header(seen: Authentication, credential: Credential | None) -> Finding:
    if seen.header_lost:
        return failed(
            HEADER,
            "A token in the Authorization header does not arrive, one in the query does: something "
            "takes the header away.",
            mends.AUTHORIZATION,
        )
    if seen.bad.code not in (None, REQUIRED) and seen.bad.status == 401:
        return passed(HEADER, "The Authorization header arrives.")
    return skipped(HEADER, "Whether the Authorization header arrives cannot be seen.")


def _query(seen: Authentication, credential: Credential | None) -> Finding:
    if credential is not None and credential.way == "query":
        why = "The token stands in the address that was given"
    elif seen.header_lost:
        why = "Tokens can only be sent in the query here"
    else:
        return passed(QUERY, "The token is sent in a header, which access logs do not write.")
    return warned(
        QUERY,
        f"{why}: the access log of a proxy may have it. That cannot be seen from here.",
        mends.ACCESS_LOG,
    )
