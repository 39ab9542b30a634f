"""Builds the site, looks whether what is kept is what the code says, or writes that."""

import logging
import os
import sys
from typing import Final

from scripts.site import assets, asyncapi, diagrams
from scripts.site.sources import ROOT

SITE: Final = ROOT / "build" / "site"


def build() -> str | None:
    """Builds the site; returns what is wrong, or None."""
    # The theme tells of a version of MkDocs that it does not work with, and that is not used.
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(SITE))
    config.plugins.on_startup(command="build", dirty=False)
    try:
        build_site(config)
    except Abort as error:
        return error.message
    finally:
        config.plugins.on_shutdown()
    return "\n".join(assets.foreign(SITE)) or None


def main(arguments: list[str]) -> str | None:
    """Does what is asked; returns what is wrong, or None."""
    match arguments:
        case []:
            return build()
        case ["--check"]:
            stale = asyncapi.stale() + diagrams.stale()
            if stale:
                return "\n".join((*stale, "Make it anew: scripts/docs --write"))
            return build()
        case ["--write"]:
            asyncapi.TARGET.write_text(asyncapi.text(), encoding="utf-8")
            diagrams.draw()
            return None
        case _:
            return "usage: scripts/docs [--check | --write]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
