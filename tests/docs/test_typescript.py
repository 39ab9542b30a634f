"""What pages show of TypeScript and JavaScript holds, by the compiler; what is read of the client's
sources for the reference is what it exports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.site import typescript
from tests.docs.pages import ROOT, files_of, snippets
from tests.docs.test_snippets import ELSEWHERE, NOT_RUN

CLIENT = ROOT / "client"

# Those of the hook are compiled by tests of the client, others with what they are about.
COMPILED_ELSEWHERE = {"README.md", "docs/react.md", *ELSEWHERE} - {"docs/tutorial.md"}

# As much of others as pages use, and what they leave to their readers.
STUBS = """
declare module "vite" { export function defineConfig(config: object): object; }
declare module "@vitejs/plugin-react" { export default function react(): object; }
declare const cursor: string, token: string;
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # There, so that React is found; and where nobody else looks.
    path = CLIENT / "node_modules" / ".pages"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    yield path
    shutil.rmtree(path)


def compiled(folder: Path, files: dict[str, str], *, strict: bool = True) -> str:
    """What the compiler says of files; nothing if they hold."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "stubs.d.ts").write_text(STUBS)
    config = {
        "extends": str(CLIENT / "tsconfig.json"),
        "compilerOptions": {
            "module": "ESNext",
            "moduleResolution": "bundler",
            "types": [],
            "allowJs": True,
            "checkJs": True,
            "noImplicitAny": strict,
            "noUnusedLocals": False,
            "paths": {
                "tidewire": [str(CLIENT / "src/index.ts")],
                "tidewire/*": [str(CLIENT / "src/*.ts")],
            },
        },
        "files": [*files, "stubs.d.ts"],
        "include": [],
    }
    (folder / "tsconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        ["node", str(CLIENT / "node_modules/typescript/bin/tsc"), "-p", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.stdout if done.returncode else ""


def files(*languages: str) -> dict[str, str]:
    """The blocks as files; those that say how they are called, so."""
    found = {}
    for snippet in snippets(*languages):
        page, block = snippet.page, snippet.block
        if str(page) in COMPILED_ELSEWHERE or block.remark.startswith(NOT_RUN):
            continue
        named = {code: name for name, code in files_of(page).items()}
        own = f"{page.stem}-{block.line}/{page.stem}.{block.language}"
        name = f"{page.stem}/{named[block.code]}" if block.code in named else own
        # What imports nothing would share its names with all others.
        is_module = re.search(r"^(?:import|export)\b", block.code, re.M)
        found[name] = block.code if is_module else f"{block.code}\nexport {{}};\n"
    return found


def test_every_block_of_typescript_holds(folder: Path) -> None:
    given = files("ts", "tsx")
    assert len(given) > 6
    assert compiled(folder, given) == ""


def test_every_block_of_javascript_holds(folder: Path) -> None:
    given = files("js")
    assert given
    assert compiled(folder, given, strict=False) == ""


def test_a_block_that_does_not_hold_is_told(folder: Path) -> None:
    said = compiled(folder, {"a.ts": 'import { SSEClient } from "tidewire";\nSSEClient.nothing;\n'})
    assert "nothing" in said


@pytest.mark.parametrize("entry", typescript.ENTRIES)
def test_the_reference_has_what_an_entry_exports(entry: str, folder: Path) -> None:
    declared = typescript.exported(typescript.ENTRIES[entry])
    values = [name for name, each in declared.items() if each.kind not in ("interface", "type")]
    types = [name for name in declared if name not in values]
    imports = [*values, *(f"type {name}" for name in types)]
    code = f'import * as all from "{entry}";\nimport {{ {", ".join(imports)} }} from "{entry}";\n'
    code += f"export type Used = [{', '.join(f'typeof {name}' for name in values)}];\n"
    # And nothing is left out that there is at run time.
    code += (
        f"const none: Exclude<keyof typeof all, {' | '.join(map(json.dumps, values))}>[] = [];\n"
    )
    code += "export const nothing: never[] = none;\n"
    assert compiled(folder, {"uses.ts": code}) == ""


def test_the_reference_shows_no_body_of_a_method_and_nothing_private() -> None:
    page = typescript.page()
    assert "#" not in re.sub(r"^#+ .*$", "", page, flags=re.M)
    assert "return " not in re.sub(r"/\*\*.*?\*/", "", page, flags=re.S)
