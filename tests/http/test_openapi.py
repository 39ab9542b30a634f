"""What the server says of itself."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tests.fakes import FakeClock, FakeJournal
from tests.http.server import PROBLEM, Live, make_tidewire
from tidewire.health.measures import Measures
from tidewire.http.answering import Answering
from tidewire.http.endpoints import Description, Endpoint
from tidewire.http.router import make_document

ROUTES = {
    ("get", "/api/sse"),
    ("get", "/api/realtime/polling"),
    ("get", "/api/realtime/cursor"),
    ("post", "/api/realtime/publish"),
    ("post", "/api/realtime/test"),
    ("get", "/api/auth/sse-token"),
    ("post", "/api/auth/sse-token/refresh"),
    ("post", "/api/auth/revoke"),
    ("get", "/api/sse/health"),
    ("post", "/api/sse/health"),
    ("get", "/api/realtime/monitor"),
    ("get", "/api/realtime/clients"),
    ("get", "/api/realtime/clients/{client_id}"),
    ("get", "/api/realtime/events"),
    ("get", "/api/realtime/explain"),
    ("get", "/metrics"),
    ("get", "/livez"),
    ("get", "/readyz"),
}


def included() -> dict[str, Any]:
    app = FastAPI()
    app.include_router(make_tidewire().router)
    return app.openapi()


@pytest.fixture(params=["its own", "somebody's"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return make_tidewire().openapi() if request.param == "its own" else included()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


async def test_it_is_served_as_openapi_3_1(server: Live) -> None:
    answer = await server.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    known = {"if-none-match": answer.headers["etag"]}
    assert (await server.http.get("/openapi.json", headers=known)).status_code == 304
    assert answer.json()["openapi"].startswith("3.1.")
    assert answer.json()["info"]["title"] == "Tidewire"


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in operations(document)} == ROUTES
    for _, _, operation in operations(document):
        assert operation["summary"]
        assert operation["tags"]


def test_operations_are_named_after_their_endpoints(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"sse_api_sse_get", "act_api_sse_health_post", "livez_livez_get"} <= set(names)


def test_what_the_docstring_of_an_endpoint_says_is_described() -> None:
    async def handle(request: Request) -> Response:
        """And more of it."""
        return Response()

    endpoint = Endpoint("/more", handle, description=Description("Something", tag="events"))
    answering = Answering(FakeJournal(), Measures(FakeClock()))
    operation = make_document([endpoint], answering)["paths"]["/more"]["get"]
    assert (operation["summary"], operation["description"]) == ("Something", "And more of it.")


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def test_problems_are_described_with_all_their_members(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        # What has no problems of ours has no 422 of FastAPI's form either.
        assert ("default" in operation["responses"]) == (path != "/livez")
        for status, answer in operation["responses"].items():
            if status < "400":
                continue
            assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
            schema = answer["content"]["application/problem+json"]["schema"]
            assert set(schema["properties"]) == set(schema["required"]) == PROBLEM
        if path != "/livez":
            assert "503" in operation["responses"], path


def test_each_way_of_success_is_described(document: dict[str, Any]) -> None:
    told = {
        (method, path): {status for status in operation["responses"] if status < "300"}
        for method, path, operation in operations(document)
    }
    assert told.pop(("post", "/api/auth/revoke")) == {"202", "204"}
    assert told.pop(("post", "/api/realtime/publish")) == {"200", "202"}
    assert all(statuses == {"200"} for statuses in told.values())


def test_what_may_be_left_out_is_not_said_to_be_null(document: dict[str, Any]) -> None:
    found = [
        parameter
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", ())
    ]
    assert {parameter["in"] for parameter in found} == {"path", "query", "header"}
    assert all(parameter["schema"].get("default", "") is not None for parameter in found)
    assert {parameter["name"] for parameter in found if parameter["required"]} == {
        *("client_id", "event", "user")
    }


def test_a_parameter_that_a_dependency_takes_too_is_there_once() -> None:
    def dependency(token: str | None = None, limit: int = 5, last_event_id: str = "") -> None:
        """Somebody's own."""

    app = FastAPI()
    app.include_router(make_tidewire().router, dependencies=[Depends(dependency)])
    for _, _, operation in operations(app.openapi()):
        found = [(each["in"], each["name"]) for each in operation["parameters"]]
        assert len(found) == len(set(found))
        assert {("query", "token"), ("query", "limit")} <= set(found)


def test_bodies_are_described(document: dict[str, Any]) -> None:
    for method, _, operation in operations(document):
        described = "requestBody" in operation
        assert described == (method == "post")
        if described:
            assert operation["requestBody"]["content"]["application/json"]["schema"]
