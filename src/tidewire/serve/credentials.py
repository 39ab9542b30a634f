"""How the command line proves who it is to a server."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidewire.auth.loopback import LOOPBACK
from tidewire.core.clock import SystemClock
from tidewire.core.errors import ConfigurationError, InvalidParameter
from tidewire.serve.devsecret import find_secret

if TYPE_CHECKING:
    from tidewire.auth.tokens import Tokens


def check_url(url: str) -> str:
    """Passes addresses of servers.

    Raises:
        InvalidParameter: it is none.
    """
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InvalidParameter(
            f"{url!r} is not the address of a server. Give it as in http://127.0.0.1:8000."
        )
    return url


def signing_tokens(url: str) -> "Tokens":
    """Tokens that the server at ``url`` accepts: by the secret in the environment, else by that
    of the development server on this machine.

    Raises:
        ConfigurationError: there is neither.
    """
    # Here and not above: who gives a token needs none of it.
    from tidewire.auth.tokens import Tokens
    from tidewire.http.settings import SECRET_SETTINGS, Settings

    settings = Settings.load()
    shared: Sequence[str] = settings.secrets
    if not shared:
        address = urlsplit(check_url(url))
        if address.hostname in LOOPBACK:
            found = find_secret(address.port or 80)
            shared = [found] if found is not None else []
    if not shared:
        raise ConfigurationError(
            f"No secret to sign a token with. Set {SECRET_SETTINGS[0]} as the server has it, give "
            "--token, or start a development server: tidewire serve --dev, or tidewire serve "
            f"module:app --dev (looked for one at {url})."
        )
    return Tokens(shared, clock=SystemClock(), setting=settings.secret_setting)


def token_for(
    url: str,
    given: str | None,
    user_id: str,
    *,
    roles: Sequence[str] = (),
    permissions: Sequence[str] = (),
    topics: Sequence[str] = (),
) -> str:
    """The token that was given, or a new one for this user."""
    check_url(url)
    if given is not None:
        return given
    tokens = signing_tokens(url)
    return tokens.issue(user_id, roles=roles, permissions=permissions, topics=topics).token
