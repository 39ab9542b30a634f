"""`tidewire doctor`: checks this machine's settings, and a deployment."""

import asyncio
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from rich.console import Console
from rich.markup import escape

from tidewire.auth.loopback import LOOPBACK
from tidewire.core.clock import SystemClock
from tidewire.core.errors import ConfigurationError, InvalidParameter
from tidewire.http.origins import Origins
from tidewire.http.settings import Settings
from tidewire.serve.console import err
from tidewire.serve.devsecret import find_secret
from tidewire.serve.doctor import report
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.environment import read_settings
from tidewire.serve.doctor.examination import Request, examine

if TYPE_CHECKING:
    from tidewire.auth.tokens import Tokens

USER: Final = "tidewire-doctor"
LIFETIME_SECONDS: Final = 600
WIDTH: Final = 100
"""Columns at most: longer lines are hard to read."""


def doctor(
    url: str | None,
    *,
    token: str | None,
    user: str | None,
    origin: str | None,
    workers: int | None,
    timeout: float,
    ca_file: str | None,
    as_json: bool,
) -> None:
    """Prints what it found. Ends with code 1 if something failed.

    Raises:
        InvalidParameter: an argument is not of its form.
    """
    address = None if url is None else Address.of(url)
    credential = expired = None
    if address is not None:
        credential, expired = _credentials(address, token, user)
    request = Request(
        address,
        credential,
        expired,
        None if origin is None else _origin(origin),
        workers,
        timeout,
        _trust(ca_file),
    )
    with _progress() as tell:
        findings = asyncio.run(examine(request, tell))
    if as_json:
        sys.stdout.write(report.as_json(findings) + "\n")
    else:
        where = "this machine" if address is None else address.base
        console = _console()
        report.show(console, request.groups, findings, title=f"tidewire doctor: {where}")
        if address is None:
            console.print("No server was looked at: name its URL.", style="dim")
    sys.stdout.flush()
    if any(finding.status == "fail" for finding in findings):
        sys.exit(1)


def _credentials(
    address: Address, token: str | None, user: str | None
) -> tuple[Credential | None, Credential | None]:
    """What to show, and a token that was good an hour ago."""
    tokens = _tokens(address)
    expired = None
    if tokens is not None:
        old = tokens.issue(user or USER, lifetime=-3600)
        expired = Credential("header", old.token, signed_here=True)
    if token is not None:
        return Credential("header", token), expired
    if address.token is not None:
        return Credential("query", address.token), expired
    if tokens is not None:
        issued = tokens.issue(user or USER, permissions=["publish"], lifetime=LIFETIME_SECONDS)
        return Credential("header", issued.token, signed_here=True), expired
    return (None if user is None else Credential("parameter", user)), None


def _tokens(address: Address) -> "Tokens | None":
    settings = read_settings() or Settings.model_construct()
    shared = settings.secrets
    if not shared and address.host in LOOPBACK:
        found = find_secret(address.port)
        shared = () if found is None else (found,)
    if not shared:
        return None
    from tidewire.auth.tokens import Tokens

    try:
        return Tokens(shared, clock=SystemClock(), setting=settings.secret_setting)
    except ConfigurationError:
        # Too short a one: there is a check for that.
        return None


def _origin(text: str) -> str:
    try:
        Origins([text])
    except ConfigurationError:
        raise InvalidParameter(
            "--origin takes a scheme, a host and perhaps a port, with nothing after them, as in "
            "https://app.example.com."
        ) from None
    return text.lower()


def _trust(ca_file: str | None) -> Callable[[], ssl.SSLContext]:
    if ca_file is not None and not Path(ca_file).is_file():
        raise InvalidParameter(f"--ca-file: there is no file {ca_file!r}.")

    def make() -> ssl.SSLContext:
        trust = httpx.create_ssl_context()
        if ca_file is not None:
            trust.load_verify_locations(ca_file)
        return trust

    try:
        if ca_file is not None:
            make()
    except ssl.SSLError:
        raise InvalidParameter(f"--ca-file: {ca_file} has no certificate in PEM.") from None
    return make


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    if not err.is_terminal:
        yield lambda text: None
        return
    with err.status("") as status:
        yield lambda text: status.update(f"[dim]{escape(text)}[/]")


def _console() -> Console:
    console = Console(highlight=False)
    return Console(highlight=False, width=min(console.width, WIDTH))
