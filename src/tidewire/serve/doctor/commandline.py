"""The words of ``tidewire doctor``; what it does is imported when it is asked for."""

from collections.abc import Callable
from typing import Annotated

import typer

from tidewire.serve.loading import loading

DEFAULT_TIMEOUT = 45.0
"""Seconds: a ping every 30, and what a busy network may add."""


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
    token: Annotated[
        str | None,
        typer.Option(
            help="A token. Without one: signed by the secret in the environment, or by that of a "
            "development server on this machine.",
            envvar="TIDEWIRE_TOKEN",
        ),
    ] = None,
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
    ] = DEFAULT_TIMEOUT,
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
