"""The page that describes the endpoints: that it says what the document says, and needs nothing
but itself."""

import asyncio
import re
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from tests.http.embedding import included, mounted
from tests.http.server import Live, check_problem, client, make_tidewire, serving
from tidewire.core.errors import LogAway
from tidewire.http import router
from tidewire.http.problems import Problem
from tidewire.http.reference.page import page
from tidewire.http.reference.schemas import Schema, kind, members, written
from tidewire.http.routes.reference import codes

VOID = {"meta"}

PROBLEM = Problem.model_json_schema()


class Page(HTMLParser):
    """A page as a browser takes it: its text by the element with an id that it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self.style = ""
        self.headings: list[str] = []
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
        if self._open[-1:] and self._open[-1][0] == "h2":
            self.headings.append(data)
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
            told = shown.texts[f"{method}-{path}"]
            words = told.split()
            assert words[:2] == [method.upper(), path]
            assert f"#{method}-{path}" in shown.links
            assert operation["summary"] in told
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in words
                assert parameter.get("description", "") in told
            for status in operation["responses"].keys() - {"default"}:
                assert status in words
                assert by_status.get(status, set()) <= {*words}
                assert status < "400" or by_status[status]


SAID = [
    ("get-/api/sse", "GET /api/sse Open a stream of events Parameters"),
    ("get-/api/sse", "Last-Event-ID header optional string The cursor of what was seen last."),
    ("get-/api/sse", "types query optional string Event types"),
    ("get-/api/sse", "named query default 1 0 · 1 0: no"),
    ("get-/api/realtime/polling", "limit query default 20 integer, 1 or more, at most 500 "),
    ("get-/api/realtime/polling", "wait query default 0 number, 0 or more, at most 60 "),
    ("get-/api/realtime/clients", "after query optional string, at most 64 characters As "),
    ("get-/api/realtime/clients", "transport query optional sse · polling limit"),
    ("get-/api/realtime/clients/{client_id}", "client_id path required string, at most 64 "),
    ("get-/api/sse/health", "details query default false boolean"),
    ("post-/api/auth/sse-token/refresh", "Body application/json : RefreshBody RefreshBody"),
    ("post-/api/realtime/publish", "application/json : PublishedEvent or object Published"),
    ("get-/api/realtime/cursor", "Answer 200 application/json : CursorAnswer Problems"),
    ("get-/api/sse", "Answer 200 A stream of events that does not end. text/event-stream : "),
    ("get-/api/sse", ": each block: object Members member presence value event optional "),
    ("get-/metrics", "Answer 200 text/plain Problems status codes 400 "),
    ("post-/api/auth/revoke", "Answer 204 Answer 202 Known here, and on other nodes once "),
    ("get-/readyz", "503 DRAINING LOG_AWAY "),
    ("schema-GapAnswer", "GapAnswer A hole: what lies in (from, to] was missed."),
    ("schema-ClientsAnswer", "clients required list of ClientAnswer total required integer"),
    ("schema-ClientAnswer", "types required list of string or null"),
    ("schema-MonitorAnswer", "allInstancesMetrics required object of object sseStats"),
]


async def test_it_says_what_the_document_says(server: Live) -> None:
    _, shown = await ask(server)
    for id_, said in SAID:
        assert said in " ".join(shown.texts[id_].split())


async def test_it_says_nothing_that_goes_without_saying(server: Live) -> None:
    answer, shown = await ask(server)
    assert "Successful Response" not in answer.text
    assert "default" not in shown.texts["get-/api/realtime/cursor"]
    assert "A problem" not in answer.text
    assert "<p></p>" not in answer.text


async def test_endpoints_stand_by_their_tags(server: Live) -> None:
    _, shown = await ask(server)
    tags = ["Events", "Publishing", "Authentication", "Administration", "Health", "Probes"]
    assert shown.headings == [*tags, "Everywhere", *tags, "Schemas", "Problems"]


async def test_it_has_the_members_of_bodies_and_of_schemas(server: Live) -> None:
    _, shown = await ask(server)
    document = (await server.http.get("/openapi.json")).json()
    publish = shown.texts["post-/api/realtime/publish"]
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
        assert "/api/sse" in Page(answer.text).texts["get-/api/sse"]
        assert (await http.get(str(answer.url.join("openapi.json")))).status_code == 200
        assert (await http.get("/docs")).status_code == 404


async def test_an_application_that_includes_the_router_has_its_own_page() -> None:
    async with serving(included(make_tidewire())) as url, client(url) as http:
        assert "swagger" in (await http.get("/docs")).text
        assert (await http.get("/live/docs")).status_code == 404
        assert "/live/api/sse" in (await http.get("/openapi.json")).json()["paths"]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_nobody_waits_while_it_is_made(
    server: Live, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, others = threading.Event(), threading.Event()
    make = router.make_document

    def make_slowly(*given: Any) -> dict[str, Any]:
        began.set()
        assert others.wait(30), "others are served meanwhile"
        return make(*given)

    monkeypatch.setattr(router, "make_document", make_slowly)
    asking = asyncio.create_task(server.http.get(path))
    assert await asyncio.to_thread(began.wait, 30)
    assert (await server.http.get("/livez")).status_code == 200
    others.set()
    assert (await asking).status_code == 200


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
        "description": HOSTILE,
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
        "paths": {f"/{HOSTILE}": {"get": operation}},
        "components": {"schemas": {HOSTILE: schema, "other": {"$ref": HOSTILE}}},
    }
    shown = Page(page(document, PROBLEM, [LogAway], "b {}"))
    assert shown.elements["script"] == 0
    assert shown.elements["style"] == 1
    assert shown.style == "b {}"
    assert {f"#get-/{HOSTILE}", f"#schema-{HOSTILE}"} <= shown.links
    assert f"schema-{HOSTILE}" in shown.texts
    told = shown.texts[f"get-/{HOSTILE}"]
    assert HOSTILE.replace("``", "") in told.replace(" x", "x")


A = '<a href="#schema-A"><code>A</code></a>'


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (Annotated[int, Field(ge=1, le=5000)], "integer, 1 or more, at most 5,000"),
        (Annotated[float, Field(gt=0, lt=1.5)], "number, more than 0, less than 1.5"),
        (
            Annotated[str, Field(min_length=1, max_length=64)],
            "string, 1 or more characters, at most 64 characters",
        ),
        (
            Annotated[list[str], Field(min_length=1, max_length=1000)],
            "list of string, 1 or more, at most 1,000",
        ),
        (tuple[int, str], "array, 2 or more, at most 2"),
        (list[Any], "list of any JSON"),
        (Literal["a", "b"], "<code>a</code> · <code>b</code>"),
        (Literal["a", 1, None], "<code>a</code> · <code>1</code> · <code>null</code>"),
        (Literal["a"], "<code>a</code>"),
        (Literal[1], "<code>1</code>"),
        (str | None, "string or null"),
        (dict[str, int], "object of integer"),
        (dict[str, Any], "object"),
        (Annotated[dict[str, Any], Field(title="Data")], "object"),
        (Any, "any JSON"),
    ],
)
def test_what_pydantic_says_of_a_type_is_told_in_words(type_: Any, said: str) -> None:
    assert kind(TypeAdapter(type_).json_schema()) == said


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#/components/schemas/A"}, A),
        ({"$ref": "#/components/schemas/A", "default": "x"}, A),
        ({"oneOf": [{"$ref": "#/components/schemas/A"}, {"type": "object"}]}, f"{A} or object"),
        ({"type": "object", "properties": {"b": {}}}, "object"),
        ({"type": "object", "properties": {"b": {}}, "title": "A"}, "<code>A</code>"),
        ({"type": "object", "properties": {}, "title": "A"}, "object"),
    ],
)
def test_an_object_is_told_by_its_name_where_it_has_one(schema: Schema, said: str) -> None:
    assert kind(schema) == said


def test_in_a_query_there_is_no_null() -> None:
    assert written({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert written({"type": "integer"}) == "integer"


class Order(BaseModel):
    number: int
    count: int = 1
    is_paid: Annotated[bool, Field(alias="isPaid")] = False
    remark: str | None = None
    sign: str = ""
    tags: list[str] = []


def test_a_member_is_required_or_has_what_holds_without_it() -> None:
    told = members("Members", Order.model_json_schema())
    assert re.findall(r"<code>(\w+)</code></th><td>(.*?)</td>", told) == [
        ("number", "required"),
        ("count", "default <code>1</code>"),
        ("isPaid", "default <code>false</code>"),
        ("remark", "optional"),
        ("sign", "optional"),
        ("tags", "default <code>[]</code>"),
    ]
    assert "required" not in members("Members", {"properties": {"a": {"type": "string"}}})


def test_what_a_member_means_is_told_where_one_is_described() -> None:
    described = {"type": "string", "description": "As in ``b``."}
    told = members("Members", {"properties": {"a": described, "b": {"type": "null"}}})
    assert told.endswith(
        '<th scope="col">meaning</th></tr></thead><tbody>'
        '<tr><th scope="row"><code>a</code></th><td>optional</td><td>string</td>'
        "<td>As in <code>b</code>.</td></tr>"
        '<tr><th scope="row"><code>b</code></th><td>optional</td><td>null</td>'
        "<td></td></tr></tbody></table></div>"
    )
    assert "meaning" not in members("Members", {"properties": {"b": {"type": "null"}}})


def made(item: dict[str, Any], named: dict[str, Any]) -> str:
    """The page of one path, and of schemas with names."""
    document = {
        "info": {"title": "Tidewire", "version": "1", "description": "Events."},
        "paths": {"/here": item},
        "components": {"schemas": named},
    }
    return page(document, PROBLEM, [LogAway], "")


def test_the_docstring_of_an_endpoint_is_told_in_paragraphs() -> None:
    operation = {
        "tags": ["here"],
        "summary": "What for",
        "description": "Why.\n\nHow.",
        "responses": {},
    }
    assert "<p>What for</p><p>Why.</p><p>How.</p></article>" in made({"get": operation}, {})


def test_schemas_are_told_by_name_whatever_they_are() -> None:
    named = {
        "Colour": {"enum": ["red", "green"], "description": "As seen."},
        "Alone": {"type": "object", "properties": {}, "title": "Alone"},
        "Both": {
            "oneOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}},
                {"$ref": "#/components/schemas/Colour"},
            ]
        },
    }
    shown = Page(made({}, named)).texts
    assert [" ".join(shown[id_].split()) for id_ in shown if id_.startswith("schema-")] == [
        "Alone object",
        "Both Members member presence value a optional string",
        "Colour As seen. red · green",
    ]
