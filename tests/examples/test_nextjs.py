"""Next.js with NextAuth in front of Tidewire, as its README starts it."""

import subprocess
from pathlib import Path

import pytest

from tests.examples.starting import EXAMPLES, address, browser, free_port, listening, started

FOLDER = EXAMPLES / "nextjs"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "node_modules").exists(), reason="needs npm ci in examples/nextjs"
)


@pytest.mark.skipif(
    not (EXAMPLES.parent / "client" / "dist" / "react.d.ts").exists(), reason="needs client/dist"
)
def test_its_types_are_right() -> None:
    done = subprocess.run(
        ["node_modules/.bin/tsc", "--noEmit"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout


async def test_who_signs_in_by_nextauth_gets_their_events_through_next(tmp_path: Path) -> None:
    port, behind = free_port(), free_port()
    url = f"http://localhost:{port}"
    env = {"NEXTAUTH_URL": url, "TIDEWIRE_PORT": str(behind)}
    async with started("nextjs", tmp_path, "--port", str(port), **env) as run:
        await address(run, "listens on")
        await address(run, "Local:")
        async with browser(url) as alice, browser(url) as visitor:
            token = (await alice.get("/api/auth/csrf")).json()["csrfToken"]
            answer = await alice.post(
                "/api/auth/callback/credentials", data={"csrfToken": token, "name": "alice"}
            )
            assert "next-auth.session-token" in alice.cookies, answer.text
            page = await alice.get("/")
            assert "Hello" in page.text
            assert "Tell me something" in page.text
            assert "Sign in" in (await visitor.get("/")).text
            assert (await visitor.get("/api/sse")).status_code == 401
            async with listening(alice, "/api/sse") as stream:
                # What its button does.
                told = {"type": "notification", "target": "user", "data": {"title": "Hello"}}
                answer = await alice.post("/api/realtime/test", json=told)
                assert answer.status_code == 200, answer.text
                assert (await stream.next("notification")).id == answer.json()["eventId"]
            token = (await alice.get("/api/auth/sse-token")).json()["token"]
            poll = await visitor.get(
                "/api/realtime/polling?since=earliest", headers={"Authorization": f"Bearer {token}"}
            )
            assert len(poll.json()["events"]) == 1
