"""The page that describes the endpoints: that it says what the document says, and needs nothing
but itself."""

import re
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.http.embedding import included, mounted
from tests.http.server import Live, check_problem, client, make_tidewire, serving
from tidewire.core.errors import LogAway
from tidewire.http.reference.page import page
from tidewire.http.reference.schemas import kind, members, written
from tidewire.http.routes.reference import codes

VOID = {"meta"}


class Page(HTMLParser):
    """A page as a browser takes it: its text by the element with an id that it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self.style = ""
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        given = {name: value or "" for name, value in attrs}
        self.attributes += given.items()
        id_ = given.get("id")
        if id_ is not None:
            assert id_ not in self.texts, f"{id_} is there once"
            self.texts[id_] = ""
        if tag not in VOID:
            self._open.append((tag, id_))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] and self._open[-1][0] == "style":
            self.style += data
        for _, id_ in self._open:
            if id_ is not None:
                self.texts[id_] += f" {data}"

    @property
    def links(self) -> set[str]:
        return {value for name, value in self.attributes if name == "href"}


async def ask(server: Live) -> tuple[httpx.Response, Page]:
    answer = await server.http.get("/docs")
    assert answer.status_code == 200
    return answer, Page(answer.text)


async def test_it_has_every_endpoint_with_its_parameters_answers_and_problems(
    server: Live,
) -> None:
    _, shown = await ask(server)
    document = (await server.http.get("/openapi.json")).json()
    by_status = {str(error.status): set() for error in codes()}  # type: ignore[var-annotated]
    for error in codes():
        by_status[str(error.status)].add(error.code)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            words = shown.texts[operation["operationId"]].split()
            assert words[:2] == [method.upper(), path]
            told = shown.texts[operation["operationId"]]
            assert operation["summary"] in told
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in words
                assert parameter.get("description", "") in told
            for status in operation["responses"].keys() - {"default"}:
                assert status in words
                assert by_status.get(status, set()) <= {*words}
                assert status < "400" or by_status[status]


async def test_it_has_the_members_of_bodies_and_of_schemas(server: Live) -> None:
    _, shown = await ask(server)
    document = (await server.http.get("/openapi.json")).json()
    publish = shown.texts["publish_api_realtime_publish_post"]
    for member in ("type", "data", "priority", "source", "metadata", "events", "Idempotency-Key"):
        assert member in publish.split()
    assert "list of PublishedEvent , 1 or more, at most 1,000" in " ".join(publish.split())
    for name, schema in document["components"]["schemas"].items():
        words = shown.texts[f"schema-{name}"].split()
        assert {name, *schema.get("properties", ())} <= {*words}


async def test_each_problem_is_told_with_its_status_and_what_to_do(server: Live) -> None:
    _, shown = await ask(server)
    for error in codes():
        assert f"{error.code} {error.status} {error.category} {error.recovery} {error.title}" in (
            " ".join(shown.texts["problems"].split())
        )
    for member in ("retryable", "retryAfter", "recovery"):
        assert member in shown.texts["problems"].split()


async def test_it_needs_nothing_but_itself(server: Live) -> None:
    answer, shown = await ask(server)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    digest = b64encode(sha256(shown.style.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert shown.elements.keys().isdisjoint({"script", "link", "img", "iframe", "base", "form"})
    assert shown.elements["style"] == 1
    assert {name for name, _ in shown.attributes} <= {
        *("lang", "charset", "name", "content", "href", "id", "scope", "class", "aria-label")
    }
    assert not re.search(r"url\(|@import|expression", shown.style)
    assert "light-dark(" in shown.style


async def test_each_link_leads_somewhere(server: Live) -> None:
    answer, shown = await ask(server)
    outward = {link for link in shown.links if not link.startswith("#")}
    assert {link.removeprefix("#") for link in shown.links - outward} <= shown.texts.keys()
    assert outward == {"openapi.json"}
    assert (await server.http.get(str(answer.url.join("openapi.json")))).status_code == 200


async def test_a_browser_asks_whether_it_has_changed(server: Live) -> None:
    answer, _ = await ask(server)
    assert answer.headers["cache-control"] == "no-cache"
    known = {"if-none-match": answer.headers["etag"]}
    again = await server.http.get("/docs", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    head = await server.http.head("/docs")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]
    check_problem(await server.http.post("/docs"), 405, "CLIENT_METHOD_NOT_ALLOWED")


async def test_it_is_for_anyone() -> None:
    async with serving(make_tidewire(dev=False).app) as url, client(url) as http:
        assert (await http.get("/docs")).status_code == 200


async def test_it_goes_where_tidewire_is_mounted() -> None:
    async with serving(mounted(make_tidewire())) as url, client(url) as http:
        answer = await http.get("/live/docs")
        assert "/api/sse" in Page(answer.text).texts["sse_api_sse_get"]
        assert (await http.get(str(answer.url.join("openapi.json")))).status_code == 200
        assert (await http.get("/docs")).status_code == 404


async def test_an_application_that_includes_the_router_has_its_own_page() -> None:
    async with serving(included(make_tidewire())) as url, client(url) as http:
        assert "swagger" in (await http.get("/docs")).text
        assert (await http.get("/live/docs")).status_code == 404
        assert "/live/api/sse" in (await http.get("/openapi.json")).json()["paths"]


def test_nothing_of_it_is_loaded_before_somebody_asks() -> None:
    script = (
        "import sys\n"
        "from tidewire import Settings, Tidewire\n"
        "Tidewire(Settings(), dev=True).app\n"
        "print(*(name for name in sys.modules if name.startswith('tidewire.http.reference')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


HOSTILE = "</style><script>alert(1)</script>\"'&``x``"


def test_whatever_the_document_says_is_text() -> None:
    schema: dict[str, Any] = {
        "title": HOSTILE,
        "description": HOSTILE,
        "type": "object",
        "properties": {HOSTILE: {"enum": [HOSTILE], "default": HOSTILE, "description": HOSTILE}},
    }
    content = {HOSTILE: {"schema": schema}}
    operation = {
        "tags": [HOSTILE],
        "summary": HOSTILE,
        "operationId": HOSTILE,
        "parameters": [
            {
                "name": HOSTILE,
                "in": HOSTILE,
                "required": False,
                "schema": {"const": HOSTILE, "default": HOSTILE},
                "description": HOSTILE,
            }
        ],
        "requestBody": {"content": content},
        "responses": {
            "200": {"description": HOSTILE, "content": content},
            "400": {"description": HOSTILE, "content": content},
        },
    }
    document = {
        "info": {"title": HOSTILE, "version": HOSTILE, "description": HOSTILE},
        "paths": {HOSTILE: {HOSTILE: operation}},
        "components": {"schemas": {HOSTILE: {"$ref": HOSTILE}}},
    }
    shown = Page(page(document, [LogAway], "b {}"))
    assert shown.elements["script"] == 0
    assert shown.elements["style"] == 1
    assert shown.style == "b {}"
    assert HOSTILE.replace("``", "") in shown.texts[HOSTILE].replace(" x", "x")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 5000}, "integer, 1 or more, at most 5,000"),
        ({"type": "string", "maxLength": 64}, "string, at most 64 characters"),
        ({"enum": ["a", "b"]}, "<code>a</code> · <code>b</code>"),
        ({"const": None}, "<code>null</code>"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array"}, "array"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"$ref": "#/components/schemas/A"}, '<a href="#schema-A"><code>A</code></a>'),
        ({"title": "Data"}, "any JSON"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, Any], said: str) -> None:
    assert kind(schema) == said


def test_in_a_query_there_is_no_null() -> None:
    assert written({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert written({"type": "integer"}) == "integer"


def test_a_member_is_required_or_has_what_holds_without_it() -> None:
    told = members(
        "Members",
        {
            "required": ["a"],
            "properties": {"a": {}, "b": {"type": "string", "default": "x"}, "c": {}},
        },
    )
    assert re.findall(r"required|optional|default <code>x</code>", told) == [
        "required",
        "default <code>x</code>",
        "optional",
    ]
    assert "meaning" not in told
