"""Cookies that next-auth and @auth/core made themselves, once for the whole run."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection

FOLDER = Path(__file__).parent
SECRET = "the-secret-of-the-sessions-00001"
OTHER = "the-secret-of-the-sessions-00002"

V4 = ("next-auth.session-token", "__Secure-next-auth.session-token")
V5 = ("authjs.session-token", "__Secure-authjs.session-token")
NAMES = V4 + V5

Cookies = dict[str, str]

ALICE = {
    "name": "Alice",
    "email": "alice@example.com",
    "picture": None,
    "sub": "alice",
    "role": "EDITOR",
    "permissions": ["publish"],
    "topics": ["cats"],
}

LONG = ALICE | {"accessToken": "x" * 6_000}
VERY_LONG = ALICE | {"accessToken": "x" * 30_000}
ANONYMOUS = {"name": None, "email": None}


def header(cookies: Cookies) -> str:
    """The Cookie header that a browser would send."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def request_with(cookies: Cookies | str) -> HTTPConnection:
    """A request with these cookies, or this Cookie header."""
    text = cookies if isinstance(cookies, str) else header(cookies)
    headers = [(b"cookie", text.encode("latin-1"))] if text else []
    return HTTPConnection({"type": "http", "path": "/", "query_string": b"", "headers": headers})


def _case(cookie: str, token: dict[str, Any], secret: str = SECRET, **more: int) -> dict[str, Any]:
    library = "next-auth" if cookie in V4 else "@auth/core"
    return {"library": library, "cookie": cookie, "secret": secret, "token": token, **more}


@functools.cache
def made() -> dict[str, Cookies]:
    """The cookies by ``"<kind> <cookie name>"``; kinds are plain, long, veryLong, expired,
    other (another secret), anonymous and badRoles."""
    for package in ("next-auth", "@auth/core"):
        if not (FOLDER / "node_modules" / package).is_dir():
            pytest.fail(
                f"{package} is not installed. Run scripts/test, or: "
                "npm ci --no-audit --no-fund --prefix tests/sessions",
                pytrace=False,
            )
    cases = {}
    for name in NAMES:
        cases[f"plain {name}"] = _case(name, ALICE)
        cases[f"long {name}"] = _case(name, LONG)
        cases[f"veryLong {name}"] = _case(name, VERY_LONG)
        cases[f"expired {name}"] = _case(name, ALICE, maxAge=-1)
        cases[f"soon {name}"] = _case(name, ALICE, maxAge=600)
        cases[f"other {name}"] = _case(name, ALICE, OTHER)
        cases[f"anonymous {name}"] = _case(name, ANONYMOUS)
        cases[f"badRoles {name}"] = _case(name, ALICE | {"roles": {"ADMIN": True}})
    done = subprocess.run(
        ["node", "cookies.mjs"],
        cwd=FOLDER,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Cookies] = json.loads(done.stdout)
    return found
