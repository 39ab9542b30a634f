"""Tokens that are known already: the verdict is that of the first time, and never later than
it may be."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt

from tests.auth.test_jwks import NEW, RSA, key_set, signed
from tests.auth.test_tokens import NOW, OTHER, SECRET, claims, sign
from tests.fakes import FakeClock
from tests.http.server import live, make_tidewire
from tidewire.auth.jwks import Jwks
from tidewire.auth.tokens import Tokens, TrustedIssuer
from tidewire.auth.verified import Verified, VerifiedTokens
from tidewire.core.errors import AuthenticationError, ExpiredToken, InvalidToken, TidewireError
from tidewire.core.target import Identity


def make(clock: FakeClock) -> Tokens:
    return Tokens([SECRET], clock=clock, setting="SSE_JWT_SECRET")


async def verdict(tokens: Tokens, token: str, method: str) -> object:
    try:
        return await tokens.verify(token, method=method)
    except TidewireError as error:
        return type(error), error.detail


def numeric(around: int) -> st.SearchStrategy[Any]:
    near = st.integers(-130, 130).map(lambda seconds: around + seconds)
    return near | near.map(lambda seconds: seconds + 0.0005) | st.just(...)


token = st.builds(
    lambda secret, **changed: sign(claims(**changed), secret),
    st.sampled_from([SECRET, SECRET, SECRET, OTHER]),
    sub=st.sampled_from(["alice", "bob", ""]),
    exp=numeric(NOW + 60),
    iat=numeric(NOW),
    nbf=numeric(NOW),
    aud=st.sampled_from(["tidewire", "tidewire", "other"]),
    roles=st.sampled_from([..., ["A"], ["A", "B"]]),
)


@given(
    st.lists(token, min_size=1, max_size=4),
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["jwt_token", "bearer_token"]),
            st.sampled_from([0, 1, 999, 1000, 30_000, 60_000, -1, -1000, -61_000]),
        ),
        max_size=30,
    ),
)
def test_the_verdict_on_a_known_token_is_that_on_an_unknown_one(
    shown: list[str], asked: list[tuple[int, str, int]]
) -> None:
    clock = FakeClock()
    knowing = make(clock)

    async def run() -> None:
        for number, method, step in asked:
            clock.jump(step)
            one = shown[number % len(shown)]
            assert await verdict(knowing, one, method) == await verdict(make(clock), one, method)

    asyncio.run(run())


async def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = make(FakeClock())
    one = tokens.issue("alice", roles=["A"]).token
    first = await tokens.verify(one, method="jwt_token")
    monkeypatch.setattr(jwt, "decode", None)
    assert await tokens.verify(one, method="jwt_token") is first
    with pytest.raises(InvalidToken):
        await tokens.verify(one[:-1] + ("A" if one[-1] != "A" else "B"), method="jwt_token")


async def test_a_token_is_known_no_longer_than_it_lasts() -> None:
    clock = FakeClock()
    tokens = make(clock)
    one = tokens.issue("alice", lifetime=10).token
    await tokens.verify(one, method="jwt_token")
    clock.jump(9_999)
    await tokens.verify(one, method="jwt_token")
    clock.jump(1)
    with pytest.raises(ExpiredToken):
        await tokens.verify(one, method="jwt_token")


async def test_what_is_no_good_token_is_not_remembered() -> None:
    tokens = make(FakeClock())
    for bad in ("", "x", "\ud800", sign(claims(), OTHER), sign(claims(exp=NOW)), sign({})):
        with pytest.raises(AuthenticationError):
            await tokens.verify(bad, method="jwt_token")
    assert len(tokens._verified) == 0


async def test_a_token_says_how_it_was_shown_this_time() -> None:
    tokens = make(FakeClock())
    one = tokens.issue("alice").token
    for method in ("jwt_token", "bearer_token", "jwt_token"):
        assert (await tokens.verify(one, method=method)).method == method


async def test_a_known_token_ends_with_the_key_that_has_signed_it(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "keys.json"
    file.write_bytes(key_set(RSA))
    keys = Jwks(file, clock=clock)
    tokens = Tokens([], clock=clock, setting="", trusted=TrustedIssuer(keys))
    one = signed(RSA, claims(exp=NOW + 7200))
    first = await tokens.verify(one, method="")
    assert await tokens.verify(one, method="") is first
    clock.advance(700)
    assert await tokens.verify(one, method="") == first, "read again, and still there"
    file.write_bytes(key_set(NEW))
    clock.advance(700)
    with pytest.raises(InvalidToken):
        await tokens.verify(one, method="")


def known(clock: FakeClock, user: str, seconds: int) -> Verified:
    return Verified(Identity(user, method="m", expires_at=clock.now() + seconds * 1000), 0, None)


def test_memory_is_bounded_and_those_that_are_over_go_first() -> None:
    clock = FakeClock()
    kept = VerifiedTokens(clock, max_tokens=16)
    for number in range(16):
        kept.add(f"token-{number}", known(clock, f"user-{number}", 10 if number % 2 else 100))
    clock.advance(20)
    kept.add("one more", known(clock, "alice", 100))
    assert len(kept) == 9
    assert all(kept.get(f"token-{number}", "m") for number in range(0, 16, 2))
    for number in range(1000):
        kept.add(f"another-{number}", known(clock, "bob", 100))
        assert len(kept) <= 16
    assert kept.get("another-999", "m")


def test_no_token_is_kept() -> None:
    kept = VerifiedTokens(FakeClock())
    kept.add("the-very-token", known(FakeClock(), "alice", 10))
    assert "the-very-token" not in repr(vars(kept))


async def test_what_was_decided_about_a_known_token_counts_at_once() -> None:
    async with live(make_tidewire(dev=False, secret=SECRET)) as server:
        now = server.tidewire.clock.now() / 1000
        one = sign(claims(iat=now - 1, exp=now + 600, roles=["A"], topics=["t"], jti="one"))
        bearer = {"Authorization": f"Bearer {one}"}

        async def poll(**params: str) -> int:
            answer = await server.http.get("/api/realtime/polling", headers=bearer, params=params)
            return answer.status_code

        assert [await poll(topics="t"), await poll(topics="t")] == [200, 200]
        await server.tidewire.update_identity("alice", topics=[])
        assert [await poll(topics="t"), await poll()] == [403, 200]
        await server.tidewire.revoke(token_id="one")
        assert await poll() == 401
