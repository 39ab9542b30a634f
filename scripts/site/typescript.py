"""What the browser client exports, read from its sources: names, comments and declarations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from scripts.site.sources import ROOT

SOURCES: Final = ROOT / "client" / "src"
ENTRIES: Final = {
    "tidewire": "index.ts",
    "tidewire/react": "react.ts",
    "tidewire/zustand": "zustand.ts",
}
_DECLARED: Final = re.compile(
    r"(?P<doc>/\*\*(?:(?!\*/).)*\*/\n)?"
    r"export (?P<kind>interface|type|class|function|async function|const) (?P<name>\w+)",
    re.S,
)
_PASSED_ON: Final = re.compile(
    r"export (?:type )?(?:\{(?P<names>[^}]*)\}|(?P<all>\*)) from \"\./(?P<module>[\w/]+)\.js\"",
    re.S,
)
_COMMENT: Final = re.compile(r"\s*(?P<doc>/\*\*(?:(?!\*/).)*\*/)?(?:\s*//[^\n]*\n)*\s*", re.S)
_HIDDEN: Final = re.compile(r"(?:readonly |async |static |override )*(?:#|private )")


@dataclass(frozen=True, slots=True)
class Declaration:
    """Something that is exported: what is said of it, and how it is declared."""

    name: str
    kind: str
    doc: str
    code: str


def exported(module: str) -> dict[str, Declaration]:
    """What a module exports, by name.

    Raises:
        KeyError: it passes on what is not found.
    """
    text = (SOURCES / module).read_text("utf-8")
    found = {each.name: each for each in _declarations(text)}
    for match in _PASSED_ON.finditer(text):
        there = exported(f"{match['module']}.ts")
        if match["all"]:
            found |= there
            continue
        for name in re.findall(r"(?:type )?(\w+)", match["names"]):
            if name != "type":
                found[name] = there[name]
    return found


def _declarations(text: str) -> Iterator[Declaration]:
    found: dict[str, Declaration] = {}
    for match in _DECLARED.finditer(text):
        name, kind = match["name"], match["kind"].removeprefix("async ")
        written = _declared(text[match.start("kind") :], kind)
        code = re.sub(r"\s*[;{]$", "", written) if kind in ("function", "const") else written
        before = found.get(name)
        if before is None:
            found[name] = Declaration(name, kind, _comment(match["doc"] or ""), code)
        elif written.endswith(";"):
            # Another way to call it. What carries them out, the last, is not called itself.
            found[name] = replace(before, code=f"{before.code}\n{code}")
    yield from found.values()


def _declared(text: str, kind: str) -> str:
    """The declaration at the beginning of a text, without what it does."""
    if kind in ("function", "const"):
        return _until(text, ";{" if kind == "function" else ";=")
    if kind == "type":
        return _until(text, ";")
    whole = _until(text, "{", past_braces=True)
    if kind == "interface":
        return whole
    head, _, body = whole.partition(" {\n")
    return f"{head} {{\n{''.join(_members(body))}}}"


def _until(text: str, ends: str, *, past_braces: bool = False) -> str:
    """The text up to one of some characters that stands in no brackets."""
    depth = 0
    for at, character in enumerate(text):
        # A brace that is a type or a value begins no body.
        is_value = character == "{" and not past_braces and text[at - 2 : at] in (": ", "= ")
        if depth == 0 and character in ends and not is_value:
            return text[:at] + _balanced(text[at:]) if past_braces else text[: at + 1]
        if character in "([{<":
            depth += 1
        elif character in ")]}" or (character == ">" and text[at - 1] != "="):
            depth -= 1
    return text


def _balanced(text: str) -> str:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[: at + 1]
    return text


def _members(body: str) -> Iterator[str]:
    """The public members of a class, without what they do."""
    at = 0
    while (start := _COMMENT.match(body, at)) and not body.startswith("}", start.end()):
        member = _until(body[start.end() :], ";{")
        at = start.end() + len(member)
        if member.endswith("{"):
            at += len(_balanced(body[at - 1 :])) - 1
        if not _HIDDEN.match(member):
            doc = f"  {start['doc']}\n" if start["doc"] else ""
            code = re.sub(r"\s*[;{]$", "", member)
            yield f"{doc}  {code};\n"


def _comment(text: str) -> str:
    lines = [
        re.sub(r"^\s*\* ?", "", line)
        for line in text.strip().removeprefix("/**").removesuffix("*/").splitlines()
    ]
    text = "\n".join(lines).strip()
    text = re.sub(r"^@example\n(.*)", r"```ts\n\1\n```", text, flags=re.M | re.S)
    text = re.sub(r"^@throws \{(\w+)\} ", r"- throws `\1`: ", text, flags=re.M)
    return re.sub(r"^@param (\w+) ", r"- `\1`: ", text, flags=re.M)


def page() -> str:
    """All entries of the package."""
    parts = [
        "# TypeScript",
        "What the package exports, as it is declared. How it is used: "
        "[the browser client](../client.md), [React and Zustand](../react.md).",
    ]
    told: dict[str, str] = {}
    for entry, module in ENTRIES.items():
        parts.append(f"## {entry}")
        for name, declaration in sorted(exported(module).items(), key=_order):
            if name in told:
                continue
            told[name] = entry
            parts += [f"### {name}", declaration.doc, f"```ts\n{declaration.code}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _order(item: tuple[str, Declaration]) -> tuple[int, str]:
    kinds = ("class", "function", "const", "interface", "type")
    return kinds.index(item[1].kind), item[0]
