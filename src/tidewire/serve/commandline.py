"""The words of the command ``tidewire``. What they do stands in `tidewire.serve.commands`, and is
imported when it is asked for: help and a typing error are answered at once.

``app`` takes a list as its object, and puts into it what is to be called once the words are read
(see `tidewire.serve.cli`).
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

from tidewire.serve.listening import DEFAULT_URL, HOST, PORT
from tidewire.serve.loading import loading
from tidewire.version import __version__

COMMAND_USER: Final = "tidewire-cli"
EXAMINATION_SECONDS: Final = 45.0
"""A ping every 30, and what a busy network may add."""

app = typer.Typer(
    help="Realtime events that always arrive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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


@app.command()
def serve(
    context: typer.Context,
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
    host: Annotated[str, typer.Option(help="The address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(help="The port; 0 = a free one.", min=0, max=65535)] = PORT,
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
    ssl_certfile: Annotated[
        str | None, typer.Option(help="Serve over TLS: a PEM file with the certificate.")
    ] = None,
    ssl_keyfile: Annotated[
        str | None, typer.Option(help="A PEM file with the private key of the certificate.")
    ] = None,
) -> None:
    """Run the server, or your own app with Tidewire in it."""

    def serving() -> None:
        if target is None:
            # There are no models but ours, and nothing to add to them. To look through all that
            # is installed for what would takes pydantic a fortieth of a start.
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        with loading():
            from tidewire.serve.commands.serve import serve

        serve(
            target,
            dev=dev,
            dev_allow_remote=dev_allow_remote,
            host=host,
            port=port,
            log=log,
            reload=reload,
            workers=workers,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
        )

    asked: list[Callable[[], None]] = context.obj
    asked.append(serving)


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
    with loading():
        from tidewire.core.target import Target
        from tidewire.serve.commands.publish import publish
        from tidewire.serve.credentials import token_for

    publish(
        type_,
        data,
        target=Target.of(user, role, topic),
        priority=priority,
        source=source,
        url=url,
        token=token_for(url, token, COMMAND_USER, permissions=["publish"]),
    )


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
    with loading():
        from tidewire.serve.commands.tail import tail
        from tidewire.serve.credentials import token_for

    tail(
        url=url,
        token=token_for(url, token, user, roles=role or (), topics=topic or ()),
        topics=topic or (),
        since=since,
        types=types,
        as_json=as_json,
    )


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
    with loading():
        from tidewire.serve.credentials import signing_tokens

    issued = signing_tokens(url).issue(
        user,
        roles=role or (),
        permissions=permission or (),
        topics=topic or (),
        lifetime=expires_in,
    )
    sys.stdout.write(issued.token + "\n")


@app.command()
def doctor(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="The deployment, as browsers address it, with the path where Tidewire is mounted. "
            "Without it: the settings of this machine.",
        ),
    ] = None,
    token: Token = None,
    user: Annotated[
        str | None,
        typer.Option(help="Who to be: in a token that is signed here, or in development mode."),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(help="Ask as a page of this origin: https://app.example.com (CORS)."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="How many processes serve, to check the settings for that.", min=1),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds that a check may wait; longer than the ping interval.", min=0.5),
    ] = EXAMINATION_SECONDS,
    ca_file: Annotated[
        str | None,
        typer.Option(help="A PEM file with an authority of your own, whose certificates are good."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of all findings as JSON, nothing else.")
    ] = False,
) -> None:
    """Check a deployment, and say how to mend what is wrong."""

    def examining() -> None:
        with loading():
            from tidewire.serve.commands.doctor import doctor

        doctor(
            url,
            token=token,
            user=user,
            origin=origin,
            workers=workers,
            timeout=timeout,
            ca_file=ca_file,
            as_json=as_json,
        )

    asked: list[Callable[[], None]] = context.obj
    asked.append(examining)


@app.callback(invoke_without_command=True)
def version(
    shown: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if shown:
        sys.stdout.write(f"tidewire {__version__}\n")
        raise typer.Exit
