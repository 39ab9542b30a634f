"""Which ways to say who one is there are, by the settings and by what the caller gives."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidewire.auth.authenticator import (
    Authenticator,
    BearerToken,
    DevelopmentParameter,
    Method,
    QueryToken,
)
from tidewire.auth.claims import ClaimNames
from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError
from tidewire.core.journal import Journal
from tidewire.http.settings import SECRET_SETTINGS, Settings

if TYPE_CHECKING:
    from tidewire.auth.sessions import SessionCallable
    from tidewire.auth.tokens import Tokens

MAY_MINT: Final = frozenset({"session", "parameter_dev"})
"""How one must have said who one is to get a token: a token must not get its successor."""


class Authentication(NamedTuple):
    """What a service authenticates by.

    Attributes:
        authenticator: asks the ways in their order.
        tokens: signs and verifies tokens; None where there are none.
    """

    authenticator: Authenticator
    tokens: "Tokens | None"


def authentication(
    settings: Settings,
    *,
    session: "Method | SessionCallable | None" = None,
    dev: bool = False,
    dev_allow_remote: bool = False,
    clock: Clock,
    journal: Journal,
) -> Authentication:
    """Puts the ways together.

    Raises:
        ConfigurationError: there is none, or a setting is not valid.
    """
    claims = _claims(settings.claims)
    sessions: list[Method] = []
    # What only some configurations need is imported in their branch.
    if session is not None:
        from tidewire.auth.sessions import CallableSession

        asked = CallableSession(session, clock=clock) if callable(session) else session
        sessions.append(asked)
    if settings.nextauth_secret is not None:
        from tidewire.auth.sessions import NEXT_AUTH_NAMES, NextAuthSession

        secret = settings.nextauth_secret.get_secret_value()
        names = NEXT_AUTH_NAMES._replace(**claims)
        sessions.append(NextAuthSession([secret], clock=clock, names=names))
    tokens = _tokens(settings, ClaimNames(**claims), clock=clock, journal=journal)
    if tokens is not None and not dev:
        # A development server is ready before anybody shows it a token, and loads it then.
        tokens.load()
    explicit: list[Method] = [] if tokens is None else [QueryToken(tokens), BearerToken(tokens)]
    others: list[Method] = [DevelopmentParameter(allow_remote=dev_allow_remote)] if dev else []
    if not sessions and not explicit and not others:
        raise ConfigurationError(
            f"Nobody could prove who they are: set {SECRET_SETTINGS[0]} (or {SECRET_SETTINGS[1]}) "
            "to a secret of at least 32 bytes, for example from 'openssl rand -base64 32'; or "
            "TIDEWIRE_JWKS; or give Tidewire a session callable. To try it without: "
            "tidewire serve --dev"
        )
    authenticator = Authenticator(
        sessions=sessions, tokens=explicit, others=others, journal=journal
    )
    return Authentication(authenticator, tokens)


def _tokens(
    settings: Settings, names: ClaimNames, *, clock: Clock, journal: Journal
) -> "Tokens | None":
    if settings.jwks is None and not settings.secrets:
        return None
    from tidewire.auth.tokens import Tokens, TrustedIssuer

    trusted = None
    if settings.jwks is not None:
        from tidewire.auth.jwks import Jwks

        if "://" not in settings.jwks and not Path(settings.jwks).is_file():
            raise ConfigurationError(
                f"TIDEWIRE_JWKS: there is no file {settings.jwks!r}. Give the path of a JWK Set, "
                "or its URL."
            )
        trusted = TrustedIssuer(
            Jwks(settings.jwks, clock=clock, journal=journal),
            issuer=settings.jwt_issuer,
            audiences=settings.jwt_audiences,
            names=names,
        )
    return Tokens(settings.secrets, clock=clock, setting=settings.secret_setting, trusted=trusted)


def _claims(given: tuple[str, ...]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for item in given:
        what, _, paths = item.partition("=")
        if what not in ("user", "roles", "permissions", "topics") or not paths:
            raise ConfigurationError(
                f"TIDEWIRE_CLAIMS: {item!r} is not of the form 'roles=realm_access.roles'. It "
                "takes user, roles, permissions and topics; several places are divided by '|'."
            )
        named[what] = tuple(paths.split("|"))
    return named
