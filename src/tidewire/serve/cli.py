"""The command ``tidewire``."""

import asyncio
import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn
from uvicorn.importer import ImportFromStringError

from tidewire.auth.authenticator import LOOPBACK
from tidewire.client.stream import Message, follow
from tidewire.core.errors import ConfigurationError, InvalidParameter, TidewireError
from tidewire.core.target import Target
from tidewire.http.settings import Settings, unknown_settings
from tidewire.logs import is_shared
from tidewire.serve import publishing
from tidewire.serve.credentials import signing_tokens, token_for
from tidewire.serve.devsecret import new_secret, published
from tidewire.serve.server import Application, bind, run
from tidewire.serve.workers import supervise
from tidewire.version import __version__

DEFAULT_URL: Final = "http://127.0.0.1:8000"
COMMAND_USER: Final = "tidewire-cli"

app = typer.Typer(
    help="Realtime events that always arrive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Url = Annotated[str, typer.Option(help="The server.", envvar="TIDEWIRE_URL")]
Token = Annotated[
    str | None,
    typer.Option(
        help="A token. Without one: signed by the secret in the environment, or by that of a "
        "development server on this machine.",
        envvar="TIDEWIRE_TOKEN",
    ),
]
Roles = Annotated[list[str] | None, typer.Option("--role", help="A role; may be repeated.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="A topic; may be repeated.")]


def main() -> None:
    """Runs the command; what goes wrong is told in a line, with the way to mend it."""
    try:
        app()
    except TidewireError as error:
        err.print(f"[bold red]{escape(error.title)}.[/] {escape(error.detail)}")
        sys.exit(2 if isinstance(error, ConfigurationError | InvalidParameter) else 1)
    except ImportFromStringError as error:
        err.print(f"[bold red]No such application.[/] {escape(str(error))}")
        sys.exit(2)
    except httpx.TransportError as error:
        err.print(f"[bold red]The server cannot be reached.[/] {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def serve(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:APP]", help="Your own ASGI app; without it, Tidewire alone."
        ),
    ] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Development mode: no configuration, no security.")
    ] = False,
    dev_allow_remote: Annotated[
        bool, typer.Option("--dev-allow-remote", help="Development mode for other machines too.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 = a free one.", min=0, max=65535)] = 8000,
    log: Annotated[
        str | None, typer.Option(help="The log; default: TIDEWIRE_LOG_URL, else 'memory:'.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a source file changes.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(help="How many processes serve; several need a log that they share.", min=1),
    ] = 1,
) -> None:
    """Run the server, or your own app with Tidewire in it."""
    for name in unknown_settings(os.environ):
        err.print(f"[yellow]{name} is not a setting of Tidewire {__version__}; it does nothing.[/]")
    if dev_allow_remote and not dev:
        raise ConfigurationError("--dev-allow-remote needs --dev.")
    if dev and not dev_allow_remote and host not in LOOPBACK:
        raise ConfigurationError(
            f"In development mode anybody who reaches the port is who they say, so it listens on "
            f"loopback only, not on {host}. If you mean it, add --dev-allow-remote."
        )
    if workers > 1 and reload:
        raise ConfigurationError(
            "--reload starts one process again and again; use it without --workers."
        )
    given: dict[str, Any] = {}
    if log is not None:
        given["log_url"] = log
    settings = Settings.load(**given)
    if workers > 1 and not is_shared(settings.log_address):
        raise ConfigurationError(
            f"--workers {workers} needs a log that the processes share, and each would have one in "
            "its memory. Set one with --log redis://…, TIDEWIRE_LOG_URL or REDIS_URL."
        )
    if dev and not settings.secrets:
        # For this process and for those that --reload starts.
        os.environ["SSE_JWT_SECRET"] = new_secret()
        settings = Settings.load(**given)
    if target and log is not None:
        # The application reads its own settings, in this process or in those that serve.
        os.environ["TIDEWIRE_LOG_URL"] = log
    application = Application(
        target,
        settings=None if target else settings,
        dev=dev,
        dev_allow_remote=dev_allow_remote,
    )
    announce = Announcement(dev=dev, alone=target is None, can_sign=bool(settings.secrets))
    with bind(host, port) as listener, contextlib.ExitStack() as stack:
        if dev:
            stack.enter_context(published(settings.secrets[0], listener.getsockname()[1]))
        if workers > 1:
            supervise(application, listener, workers, announce=announce)
        else:
            run(application, listener, reload=reload, announce=announce)


class Announcement:
    """Prints what to open and what to paste next, once the server listens."""

    def __init__(self, *, dev: bool, alone: bool, can_sign: bool) -> None:
        self._dev = dev
        self._alone = alone
        self._can_sign = can_sign

    def __call__(self, url: str) -> None:
        out.print(f"\n[bold]Tidewire {__version__}[/] listens on [bold]{url}[/]   Ctrl-C stops it")
        if self._dev:
            out.print(
                "[bold yellow]Development mode: anybody who reaches this port is who they say. "
                "Never in production.[/]"
            )
        at = "" if url == DEFAULT_URL else f" --url {url}"
        if not self._alone:
            return
        if self._dev:
            stream = f"curl -N '{url}/api/sse?userId=alice'"
        else:
            token = f"$(tidewire token --user alice{at})" if self._can_sign else "<a token>"
            stream = f'curl -N -H "Authorization: Bearer {token}" {url}/api/sse'
        lines = [("Follow a stream", stream)]
        if self._can_sign:
            hello = """'{"title":"Hello","message":"It works"}'"""
            publish = f"tidewire publish notification {hello} --user alice{at}"
            lines.append(("or, more readable", f"tidewire tail --user alice{at}"))
            lines.append(("Publish to it", publish))
        lines.append(("The endpoints", f"{url}/openapi.json"))
        out.print()
        for what, command in lines:
            out.print(f"  {what:20} {command}", markup=False)
        out.print()


@app.command()
def publish(
    type_: Annotated[
        str, typer.Argument(metavar="TYPE", help="The type; '-': whole events from standard input.")
    ],
    data: Annotated[
        str | None,
        typer.Argument(help="The payload, JSON; '-': one of each line of standard input."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option("--user", help="For a user; may be repeated.")
    ] = None,
    role: Roles = None,
    topic: Topics = None,
    priority: Annotated[str, typer.Option(help="low, normal, high or critical.")] = "normal",
    source: Annotated[str, typer.Option(help="Who made it.")] = "tidewire-cli",
    url: Url = DEFAULT_URL,
    token: Token = None,
) -> None:
    """Publish an event, or JSON lines from standard input; prints the ids."""
    metadata = Target.of(user, role, topic).to_metadata()
    common = {"priority": priority, "source": source, "metadata": metadata}
    proof = token_for(url, token, COMMAND_USER, permissions=["publish"])
    headers = {"Authorization": f"Bearer {proof}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
        if "-" not in (type_, data):
            payload = None if data is None else publishing.parse_json(data, "DATA")
            event = {"type": type_, "data": payload, **common}
            _print_ids(publishing.publish(http, [event], on_retry=_tell_retry))
            return
        if type_ == "-" and (metadata or data is not None):
            raise InvalidParameter(
                "With '-' as TYPE each line is a whole event, with its own targets in 'metadata'."
            )
        _publish_lines(http, None if type_ == "-" else {"type": type_, **common})


def _publish_lines(http: httpx.Client, common: dict[str, Any] | None) -> None:
    count = number = 0
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("waiting for lines")
        for group in publishing.lines(sys.stdin.fileno()):
            events = []
            for line in group:
                number += 1
                value = publishing.parse_json(line, f"Line {number}")
                events.append(value if common is None else {**common, "data": value})
            for batch in publishing.batches(events):
                _print_ids(publishing.publish(http, batch, on_retry=_tell_retry))
                count += len(batch)
                progress.update(task, description=f"{count:,} published")
    err.print(f"{count:,} published")


def _print_ids(ids: list[str]) -> None:
    sys.stdout.write("".join(f"{id_}\n" for id_ in ids))
    sys.stdout.flush()


def _tell_retry(reason: str, seconds: float) -> None:
    err.print(f"[yellow]{escape(reason)}; trying again in {seconds:.1f} s[/]")


@app.command()
def tail(
    url: Url = DEFAULT_URL,
    token: Token = None,
    user: Annotated[str, typer.Option(help="Whose events, where the token is made here.")] = (
        COMMAND_USER
    ),
    role: Roles = None,
    topic: Topics = None,
    since: Annotated[
        str | None,
        typer.Option(help="A cursor, milliseconds, 'earliest' or 'latest' (the default)."),
    ] = None,
    types: Annotated[str | None, typer.Option(help="Only these types, comma-separated.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON for each event, nothing else.")
    ] = False,
) -> None:
    """Follow events as a client would; reconnects, and goes on where it was."""
    proof = token_for(url, token, user, roles=role or (), topics=topic or ())
    params = {"clientType": "tidewire-tail"}
    if types is not None:
        params["types"] = types
    if topic:
        params["topics"] = ",".join(topic)
    show = _show_json if as_json else _show

    async def run_tail() -> None:
        headers = {"Authorization": f"Bearer {proof}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as http:
            messages = follow(http, params=params, since=since, on_wait=_tell_wait)
            async with contextlib.aclosing(messages):
                async for message in messages:
                    show(message)

    asyncio.run(run_tail())


def _tell_wait(reason: str, seconds: float) -> None:
    err.print(f"[yellow]{escape(reason)}; connecting again in {seconds:.1f} s[/]")


def _show_json(message: Message) -> None:
    if "id" in message.envelope or message.event == "gap":
        sys.stdout.write(json.dumps(message.envelope, ensure_ascii=False) + "\n")
        sys.stdout.flush()


_COLOURS: Final = {"low": "dim", "normal": "cyan", "high": "yellow", "critical": "bold red"}


def _show(message: Message) -> None:
    envelope = message.envelope
    data = json.dumps(envelope["data"], ensure_ascii=False)
    moment = datetime.fromtimestamp(envelope["timestamp"] / 1000, UTC).astimezone()
    clock = f"[dim]{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}[/]"
    if "id" in envelope:
        colour = _COLOURS[envelope["priority"]]
        out.print(f"{clock} [{colour}]{escape(envelope['type'])}[/] {escape(data)}")
    elif message.event == "gap":
        out.print(f"{clock} [bold red]gap[/] {escape(data)}")
    elif message.event != "ping":
        out.print(f"{clock} [dim]{escape(message.event)} {escape(data)}[/]")


@app.command()
def token(
    user: Annotated[str, typer.Option(help="Whom the token is for.")],
    role: Roles = None,
    permission: Annotated[
        list[str] | None, typer.Option("--permission", help="For example publish.")
    ] = None,
    topic: Topics = None,
    expires_in: Annotated[int, typer.Option(help="Seconds.", min=1)] = 3600,
    url: Url = DEFAULT_URL,
) -> None:
    """Print a token, signed by the secret in the environment or of a development server."""
    issued = signing_tokens(url).issue(
        user,
        roles=role or (),
        permissions=permission or (),
        topics=topic or (),
        lifetime=expires_in,
    )
    sys.stdout.write(issued.token + "\n")


@app.callback(invoke_without_command=True)
def version(
    shown: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if shown:
        sys.stdout.write(f"tidewire {__version__}\n")
        raise typer.Exit
