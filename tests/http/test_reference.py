"""The page that describes the endpoints: that it says what the document says, and needs nothing
but itself."""

import re
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI, Header, Query, Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.http.embedding import included, mounted
from tests.http.server import Live, check_problem, client, make_tidewire, serving
from tidewire.core.errors import LogAway
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
        "paths": {f"/{HOSTILE}": {"get": operation}},
        "components": {"schemas": {HOSTILE: {"$ref": HOSTILE}}},
    }
    shown = Page(page(document, PROBLEM, [LogAway], "b {}"))
    assert shown.elements["script"] == 0
    assert shown.elements["style"] == 1
    assert shown.style == "b {}"
    told = shown.texts[f"get-/{quote(HOSTILE, safe='/')}"]
    assert HOSTILE.replace("``", "") in told.replace(" x", "x")


A = '<a href="#schema-A"><code>A</code></a>'
IN_A = "<code>#/components/schemas/A/properties/b</code>"


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
        ({"$ref": "#/components/schemas/A"}, A),
        ({"title": "Data"}, "any JSON"),
        (True, "any JSON"),
        (False, "nothing"),
        ({"type": ["string", "null"], "maxLength": 5}, "string or null, at most 5 characters"),
        ({"type": "array", "items": True}, "list of any JSON"),
        ({"type": "object", "additionalProperties": False}, "object"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, more than 0"),
        ({"allOf": [{"$ref": "#/components/schemas/A"}, {"type": "object"}]}, f"{A} and object"),
        ({"anyOf": [True, {"type": "string"}]}, "any JSON or string"),
        # There is no place in the page for these.
        ({"$ref": "#/components/schemas/A/properties/b"}, IN_A),
        ({"$ref": "others.json#/B"}, "<code>others.json#/B</code>"),
    ],
)
def test_a_schema_is_told_in_words(schema: Schema, said: str) -> None:
    assert kind(schema) == said


def test_in_a_query_there_is_no_null() -> None:
    assert written({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert written({"type": "integer"}) == "integer"
    assert written({"anyOf": [True, {"type": "null"}]}) == written(True) == "any JSON"


def test_a_member_is_required_or_has_what_holds_without_it() -> None:
    told = members(
        "Members",
        {
            "required": ["a"],
            "properties": {"a": True, "b": {"type": "string", "default": "x"}, "c": {}},
        },
    )
    assert re.findall(r"required|optional|default <code>x</code>", told) == [
        "required",
        "default <code>x</code>",
        "optional",
    ]
    assert "meaning" not in told


class Order(BaseModel):
    """What somebody else's application sells."""

    name: str
    place: tuple[int, str] | None = None
    size: Annotated[float, Field(gt=0)]


def add_routes_of_somebody_else(app: FastAPI) -> None:
    @app.get("/plain")
    def plain() -> dict[str, int]:
        return {}

    @app.post("/orders/{number}", tags=["myShop", "more"], deprecated=True)
    def order(number: int, given: Order, why: Annotated[str | None, Query()] = None) -> Order:
        """Buys something.

        And pays for it."""
        return given

    @app.put("/orders", tags=["events"], operation_id="schemas", responses={404: {}, "5XX": {}})
    def replace(name: Annotated[str, Header()]) -> None:
        pass

    csv = {"application/json": {"schema": {"type": "array"}}, "text/csv": {}}
    several: dict[int | str, dict[str, Any]] = {200: {"content": csv}, 409: {"content": csv}}

    @app.api_route(
        "/a b",
        methods=["DELETE"],
        operation_id="DRAINING",
        responses=several,
        response_class=Response,
        summary="",
    )
    def remove() -> None:
        pass


async def test_routes_that_an_application_adds_are_told_as_they_are() -> None:
    tidewire = make_tidewire()
    add_routes_of_somebody_else(tidewire.app)
    async with serving(tidewire.app) as url, client(url) as http:
        shown = Page((await http.get("/docs")).raise_for_status().text)
    assert {one.removeprefix("#") for one in shown.links} <= {*shown.texts, "openapi.json"}
    assert [text for text in shown.headings if text in {"Other", "MyShop", "Events"}] == [
        # Once in the contents, and once over the articles.
        *("Events", "Other", "MyShop") * 2
    ]
    told = {
        path: " ".join(shown.texts[path].split())
        for path in ("get-/plain", "post-/orders/{number}", "put-/orders", "delete-/a%20b")
    }
    assert told["get-/plain"].startswith("GET /plain Plain")
    ordered = told["post-/orders/{number}"]
    assert "Deprecated. Order Buys something. And pays for it." in ordered
    assert "number path required integer why query optional string" in ordered
    assert "Body application/json : Order Answer 200" in ordered
    # What it answers is no problem of ours.
    assert ordered.endswith("Answer 422 Validation Error application/json : HTTPValidationError")
    assert "Answer 404" in told["put-/orders"]
    assert "Answer 5XX" in told["put-/orders"]
    assert told["delete-/a%20b"].endswith(
        "Answer 200 application/json : array text/csv Answer 409 Conflict "
        "application/json : array text/csv"
    )
    assert "size required number, more than 0" in " ".join(shown.texts["schema-Order"].split())


COMPONENTS: dict[str, Any] = {
    "schemas": {"A": {"type": "object", "properties": {"b": True}}, "Any": True, "None": False},
    "parameters": {
        "Page": {"name": "page", "in": "query", "schema": {"type": "integer"}},
        "Again": {"$ref": "#/components/parameters/Page"},
    },
    "requestBodies": {
        "Whole": {"content": {"*/*": {"schema": {"$ref": "#/components/schemas/A"}}}}
    },
    "responses": {"Gone": {"description": "It has gone."}},
    "pathItems": {"All~/": {"get": {"summary": "By a reference"}}},
}


def told(item: dict[str, Any], **more: Any) -> str:
    """What the page tells of a path that is described so."""
    document = {
        "info": {"title": "Somebody's", "version": "1"},
        "paths": {"/here": item, "x-not": {"get": {}}},
        "components": COMPONENTS,
        **more,
    }
    shown = Page(page(document, PROBLEM, [LogAway], ""))
    assert {one.removeprefix("#") for one in shown.links} <= {*shown.texts, "openapi.json"}
    articles = (text for id_, text in shown.texts.items() if id_.endswith("/here"))
    return " ".join(" ".join(articles).split())


PARAMETER = {"name": "q", "in": "query"}
DESCRIBED = {"description": "Well."}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({}, ""),
        ({"get": {}}, "GET /here"),
        ({"summary": "Both", "servers": [], "x-not": 1, "get": {}}, "GET /here"),
        ({"get": {"tags": []}, "put": {"tags": [""]}}, "GET /here PUT /here"),
        ({"$ref": "#/components/pathItems/All~0~1"}, "By a reference"),
        ({"$ref": "elsewhere.json"}, ""),
        ({"get": {"parameters": [PARAMETER]}}, "q query optional any JSON"),
        ({"get": {"parameters": [PARAMETER | {"schema": True}]}}, "q query optional any JSON"),
        (
            {
                "get": {
                    "parameters": [PARAMETER | {"content": {"a/b": {"schema": {"type": "null"}}}}]
                }
            },
            "q query optional null",
        ),
        ({"get": {"parameters": [PARAMETER | {"content": {"a/b": {}}}]}}, "q query optional any"),
        (
            {"get": {"parameters": [{"$ref": "#/components/parameters/Again"}]}},
            "page query optional integer",
        ),
        ({"get": {"parameters": [{"$ref": "o.json#/p"}]}}, "o.json#/p optional any JSON"),
        (
            {
                "parameters": [PARAMETER, {"name": "id", "in": "path", "required": True}],
                "get": {"parameters": [PARAMETER | {"description": "Anew."}]},
            },
            "q query optional any JSON Anew. id path required any JSON",
        ),
        ({"post": {"requestBody": {"$ref": "#/components/requestBodies/Whole"}}}, "Body */* : A"),
        ({"post": {"requestBody": {"content": {"a/b": {"schema": True}}}}}, "Body a/b : any JSON"),
        ({"post": {"requestBody": {"content": {"a/b": {"schema": False}}}}}, "Body a/b : nothing"),
        ({"post": {"requestBody": {"content": {"a/b": {}, "c/d": {}}}}}, "Body a/b c/d"),
        ({"post": {"requestBody": {"$ref": "o.json"}}}, "POST /here"),
        ({"get": {"responses": {"204": DESCRIBED}}}, "Answer 204 Well."),
        ({"get": {"responses": {"4XX": DESCRIBED}}}, "Answer 4XX Well."),
        ({"get": {"responses": {"default": DESCRIBED, "x-a": 1}}}, "Answer default Well."),
        ({"get": {"responses": {"503": DESCRIBED | {"content": {}}}}}, "Answer 503 Well."),
        (
            {"get": {"responses": {"503": DESCRIBED | {"content": {"a/b": {}, "c/d": {}}}}}},
            "Answer 503 Well. a/b c/d",
        ),
        (
            {"get": {"responses": {"503": {"content": {"a/b": {"schema": PROBLEM}}}}}},
            "Problems status codes 503 LOG_AWAY",
        ),
        ({"get": {"responses": {"410": {"$ref": "#/components/responses/Gone"}}}}, "It has gone."),
        ({"get": {"responses": {"410": {"$ref": "o.json#/r"}}}}, "Answer 410 o.json#/r"),
        ({"get": {"responses": {"200": {"summary": "In short"}}}}, "Answer 200 In short"),
    ],
)
def test_an_endpoint_of_any_shape_is_told(item: dict[str, Any], said: str) -> None:
    assert said in told(item)


def test_a_document_needs_neither_paths_nor_components() -> None:
    document = {"info": {"title": "Somebody's", "version": "1"}}
    assert "problems" in Page(page(document, PROBLEM, [LogAway], "")).texts


def test_references_that_lead_in_a_circle_end() -> None:
    circle = {"parameters": {"P": {"$ref": "#/components/parameters/P"}}}
    item = {"get": {"parameters": [{"$ref": "#/components/parameters/P"}]}}
    assert "#/components/parameters/P" in told(item, components=circle)


def some(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


words = st.text(max_size=5)
refs = st.sampled_from(["#/components/schemas/A", "#/components/schemas/A/properties/b", "o.json"])
json_schemas: st.SearchStrategy[Schema] = st.recursive(
    st.booleans()
    | some({"$ref": refs}, {})
    | some(
        {},
        {
            "type": st.sampled_from(["string", "null", ["integer", "null"], "array", "object"]),
            "default": st.none() | st.booleans() | st.lists(words, max_size=1),
            "enum": st.lists(st.none() | words, min_size=1, max_size=2),
            "const": st.none() | words,
            "minimum": st.integers() | st.floats(-9, 9),
        },
    ),
    lambda inner: some(
        {},
        {
            "type": st.sampled_from(["object", "array"]),
            "title": words,
            "description": words,
            "items": inner,
            "properties": st.dictionaries(words, inner, max_size=2),
            "required": st.lists(words, max_size=2),
            "additionalProperties": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=4,
)
contents = st.dictionaries(
    st.sampled_from(["a/b", "c/d", "application/problem+json"]),
    some({}, {"schema": json_schemas, "itemSchema": json_schemas, "example": words}),
    max_size=2,
)
parameters = st.lists(
    some({"$ref": st.sampled_from(["#/components/parameters/Page", "o.json#/p"])}, {})
    | some(
        {"name": words.filter(bool), "in": st.sampled_from(["query", "header"])},
        {
            "required": st.booleans(),
            "schema": json_schemas,
            "content": contents,
            "description": words,
        },
    ),
    max_size=2,
)
answers = st.dictionaries(
    st.sampled_from(["200", "204", "2XX", "422", "503", "default"]),
    some({"$ref": st.sampled_from(["#/components/responses/Gone", "o.json#/r"])}, {})
    | some({}, {"description": words, "content": contents, "headers": st.just({})}),
    max_size=3,
)
operations = some(
    {},
    {
        "tags": st.lists(words, max_size=2),
        "summary": words,
        "description": words,
        "operationId": st.sampled_from(["schemas", "problems", "LOG_AWAY", "one"]),
        "deprecated": st.booleans(),
        "parameters": parameters,
        "requestBody": some({"content": contents}, {"required": st.booleans()}),
        "responses": answers,
    },
)
items = some(
    {},
    {
        "summary": words,
        "parameters": parameters,
        "get": operations,
        "post": operations,
    },
)


@given(items)
def test_whatever_is_valid_makes_a_whole_page(item: dict[str, Any]) -> None:
    shown = told(item)
    for method in item.keys() & {"get", "post"}:
        assert f"{method.upper()} /here" in shown
        for status in item[method].get("responses", ()):
            assert f"Answer {status}" in shown
