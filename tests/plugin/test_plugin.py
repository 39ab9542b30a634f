"""The plugin, in test runs of its users."""

import subprocess
import sys
from pathlib import Path

import pytest

# What a run within this one imports is forgotten after it: half of it would be there twice.
import tidewire.http.app
import tidewire.pytest.recorder  # noqa: F401
from tests.plugin.conftest import passes

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("strict")

SHOP = """
from fastapi import FastAPI
from tidewire import Tidewire, notification

tidewire = Tidewire(dev=True)
app = FastAPI(lifespan=tidewire.lifespan)
app.include_router(tidewire.router)

@app.post("/orders")
async def order(customer: str):
    return await tidewire.publish(notification("Thank you", "It is on its way", users=[customer]))
"""

OWN = """
import pytest
import shop

@pytest.fixture
def tidewire():
    return shop.tidewire
"""


def test_a_synchronous_test_watches_an_application_through_its_test_client(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(shop=SHOP)
    pytester.makeconftest(OWN)
    pytester.makepyfile(
        """
        import shop
        from starlette.testclient import TestClient

        def test_alice_is_told(published):
            with TestClient(shop.app) as client:
                id = client.post("/orders?customer=alice").json()
            told = published.one("notification", to="alice")
            assert told.data["title"] == "Thank you"
            assert told.id == id
            published.none(to="bob")

        def test_another_test_begins_anew(published):
            published.none()
        """
    )
    passes(pytester, 2)


def test_an_asynchronous_test_publishes_in_code(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from datetime import datetime, timezone
        from tidewire import Event, Identity

        async def test_in_code(tidewire, published):
            when = datetime(2030, 1, 1, tzinfo=timezone.utc)
            await tidewire.publish([Event("a", when), Event("b", metadata={"roles": ["X"]})])
            assert published.types == ["a", "b"]
            assert published[0].data == "2030-01-01T00:00:00Z", "as readers get it"
            published.would_reach(Identity("alice", roles={"X"})).one("b")
            published.would_reach("alice").none("b")

        async def test_anew(published):
            published.none()
        """
    )
    passes(pytester, 2)


def test_what_is_published_over_http_is_seen_and_streams_deliver_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        from starlette.testclient import TestClient
        from tidewire import Event

        def test_over_http(tidewire, published):
            with TestClient(tidewire.app) as client:
                cursor = client.get("/api/realtime/cursor?userId=alice").json()["cursor"]
                answer = client.post(
                    "/api/realtime/publish?userId=admin&roles=ADMIN",
                    json={"type": "news", "data": 1, "metadata": {"userIds": ["alice"]}},
                    headers={"Idempotency-Key": "k"},
                )
                repeat = client.post(
                    "/api/realtime/publish?userId=admin&roles=ADMIN",
                    json={"type": "news", "data": 1, "metadata": {"userIds": ["alice"]}},
                    headers={"Idempotency-Key": "k"},
                )
                assert repeat.json() == answer.json()
                poll = f"/api/realtime/polling?userId=alice&since={cursor}"
                (event,) = client.get(poll).json()["events"]
            assert published.one("news", to="alice").id == event["id"] == answer.json()["ids"][0]
        """
    )
    passes(pytester, 1)


def test_what_is_refused_was_not_published(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from starlette.testclient import TestClient

        def test_refused(tidewire, published):
            with TestClient(tidewire.app) as client:
                url = "/api/realtime/publish?userId=admin&roles=ADMIN"
                assert client.post(url, json={"type": "ping"}).status_code == 422
            published.none()
        """
    )
    passes(pytester, 1)


def test_a_publisher_publishes_into_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from tidewire import Event, notification

        def test_in_code(publisher, published):
            with publisher:
                one = publisher.publish(notification("a", "b", users=["alice"]), key="k")
                assert publisher.publish(notification("a", "b", users=["alice"]), key="k") == one
                assert len(publisher.publish([Event("x"), Event("y")])) == 2
                with pytest.raises(ValueError):
                    publisher.publish([])
            assert published.one(to="alice").id == one
            assert published.types == ["notification", "x", "y"]
        """
    )
    passes(pytester, 1)


def test_a_failure_shows_the_line_of_the_test_and_what_was_published(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        from tidewire import notification

        async def test_it(tidewire, published):
            await tidewire.publish(notification("Hello", "World", users=["bob"]))
            published.one("notification", to="alice")
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       published.one("notification", to="alice")',
            "E       AssertionError: Expected one event of type 'notification' to user alice; "
            "there are none.",
            "E       1 event published, * = chosen:",
            "E           notification to user bob: *",
        ]
    )
    assert "_chosen" not in result.stdout.str()


def test_settings_of_the_environment_do_not_reach_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("TIDEWIRE_RATE_LIMITS", "nonsense")
    pytester.makepyfile(
        """
        from tidewire import Event

        async def test_it(tidewire, published):
            await tidewire.publish(Event("news"))
            published.one("news")
        """
    )
    passes(pytester, 1)


def test_one_loop_for_a_whole_session_keeps_nothing_of_a_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from tidewire import Event

        @pytest.mark.asyncio(loop_scope="session")
        @pytest.mark.parametrize("n", range(3))
        async def test_it(tidewire, n):
            assert len(asyncio.all_tasks()) == 1
            await tidewire.publish(Event("news"))
            assert len(asyncio.all_tasks()) > 1
        """
    )
    passes(pytester, 3)


def test_it_works_under_anyio_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from tidewire import Event, Tidewire

        own = Tidewire(dev=True)

        @pytest.fixture
        def tidewire():
            return own

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        @pytest.mark.parametrize("n", range(3))
        async def test_it(tidewire, published, n):
            await tidewire.publish(Event("news", n))
            assert published.one("news").data == n
        """
    )
    pytester.makeini("[pytest]\nfilterwarnings = error")
    result = pytester.runpytest("-p", "no:cacheprovider", "-p", "no:asyncio", "-q")
    result.assert_outcomes(passed=3)


def test_a_test_client_that_has_a_loop_for_each_request_is_watched_too(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(shop=SHOP)
    pytester.makeconftest(OWN)
    pytester.makepyfile(
        """
        import shop
        from starlette.testclient import TestClient

        def test_twice(published):
            client = TestClient(shop.app)
            for customer in ("alice", "bob"):
                assert client.post(f"/orders?customer={customer}").status_code == 200
            published.one(to="alice")
            published.one(to="bob")
        """
    )
    passes(pytester, 1)


def test_whoever_does_not_use_it_loads_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import pytest, sys\n"
        "assert pytest.main(['--fixtures', '-q', '-p', 'no:cacheprovider']) in (0, 5)\n"
        "print(*(name for name in sys.modules if name.startswith('tidewire')), file=sys.stderr)\n"
        "assert not {'fastapi', 'pydantic', 'sqlalchemy', 'httpx'} & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert "published [" in done.stdout or "\npublished" in done.stdout
    loaded = {name for name in done.stderr.split() if name.startswith("tidewire")}
    assert loaded == {"tidewire", "tidewire.version", "tidewire.pytest"}
