"""Tokens of a trusted issuer, and how its keys are read, kept and read again."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import int_to_base64

from tests.fakes import FakeClock, FakeJournal
from tidewire.auth import jwks
from tidewire.auth.claims import ClaimNames
from tidewire.auth.jwks import MAX_AGE_SECONDS, MAX_BYTES, REFRESH_SECONDS, Jwks, parse_keys
from tidewire.auth.tokens import MAX_TOKEN_LENGTH, Tokens, TrustedIssuer
from tidewire.core.errors import (
    ConfigurationError,
    InvalidToken,
    NotConfigured,
    TidewireError,
    Unavailable,
)

SECRET = "a-secret-of-thirty-two-bytes-0001"
ISSUER = "https://issuer.example"
NOW = FakeClock().now() // 1000

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
NEW = ECKey.generate_key("P-256", {"kid": "new"})

Claims = dict[str, Any]


def claims(**changed: Any) -> Claims:
    good = {"sub": "alice", "exp": NOW + 3600, "iat": NOW, "aud": "tidewire", "iss": ISSUER}
    return {name: value for name, value in (good | changed).items() if value is not ...}


def signed(key: Key, payload: Claims | None = None, **header: Any) -> str:
    algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519", "oct": "HS256"}[key.key_type]
    header = {"alg": algorithm, "kid": key.kid} | header
    header = {name: value for name, value in header.items() if value is not None}
    algorithms = ["RS256", "RS384", "PS256", "ES256", "ES384", "Ed25519", "HS256", "HS512"]
    return jwt.encode(header, payload or claims(), key, algorithms)


def key_set(*keys: Key, **changed: Any) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) | changed for key in keys]}).encode()


class KeyServer:
    """An issuer on loopback that counts how often it is asked."""

    def __init__(self) -> None:
        self.body = key_set(RSA, EC, ED)
        self.status = "200 OK"
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.reached.set()
        await self.open.wait()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + self.body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    keys = KeyServer()
    server = await asyncio.start_server(keys.answer, "127.0.0.1", 0)
    keys.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    async with server:
        yield keys


@pytest.fixture
def keys(issuer: KeyServer, clock: FakeClock, journal: FakeJournal) -> Jwks:
    return Jwks(issuer.url, clock=clock, journal=journal)


@pytest.fixture
def tokens(keys: Jwks, clock: FakeClock) -> Tokens:
    trusted = TrustedIssuer(keys, issuer=ISSUER)
    return Tokens([SECRET], clock=clock, setting="SSE_JWT_SECRET", trusted=trusted)


async def code(tokens: Tokens, token: str) -> str:
    """The code that the token is refused with, which is a 401 that repeats nothing."""
    with pytest.raises(InvalidToken) as raised:
        await tokens.verify(token, method="bearer_token")
    told = json.dumps(raised.value.problem())
    assert raised.value.status == 401
    assert SECRET not in told
    assert len(told) < 500
    return raised.value.code


# What is good


@pytest.mark.parametrize(
    ("key", "header"),
    [(RSA, {}), (EC, {}), (ED, {}), (RSA, {"kid": None}), (ED, {"kid": None})],
)
async def test_a_token_of_the_issuer_says_who(
    tokens: Tokens, key: Key, header: dict[str, Any]
) -> None:
    token = signed(key, claims(roles=["A"], jti="x", typ=...), **header)
    identity = await tokens.verify(token, method="bearer_token")
    assert identity.user_id == "alice"
    assert identity.roles == {"A"}
    assert identity.method == "bearer_token"
    assert identity.expires_at == (NOW + 3600) * 1000
    assert identity.issued_at == NOW * 1000
    assert identity.token_id == "x"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_eddsa_is_taken_under_its_older_name_too(tokens: Tokens) -> None:
    token = jwt.encode({"alg": "EdDSA", "kid": "ed"}, claims(), ED, ["EdDSA"])
    assert (await tokens.verify(token, method="")).user_id == "alice"


async def test_header_parameters_that_nobody_knows_are_ignored(tokens: Tokens) -> None:
    header = {"alg": "ES256", "kid": "ec", "cat": "x" * 600, "x5t": "y"}
    registry = JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    token = jwt.encode(header, claims(), EC, registry=registry)
    assert (await tokens.verify(token, method="")).user_id == "alice"


async def test_our_own_tokens_stay_good_beside_an_issuer(tokens: Tokens, issuer: KeyServer) -> None:
    token = tokens.issue("bob").token
    assert (await tokens.verify(token, method="")).user_id == "bob"
    assert issuer.asked == 0


async def test_an_issuer_alone_is_enough(keys: Jwks, clock: FakeClock) -> None:
    tokens = Tokens([], clock=clock, setting="THE_SETTING", trusted=TrustedIssuer(keys))
    assert (await tokens.verify(signed(RSA), method="")).user_id == "alice"
    assert not tokens.can_sign
    with pytest.raises(NotConfigured, match="THE_SETTING"):
        tokens.issue("alice")
    own = Tokens([SECRET], clock=clock, setting="").issue("alice").token
    assert await code(tokens, own) == "AUTH_WRONG_ALGORITHM"


async def test_where_an_issuer_names_things_can_be_chosen(keys: Jwks, clock: FakeClock) -> None:
    trusted = TrustedIssuer(
        keys,
        audiences=("api", "web"),
        type="Bearer",
        names=ClaimNames(user=("oid",), roles=("realm_access.roles",), permissions=("scope",)),
    )
    tokens = Tokens([], clock=clock, setting="", trusted=trusted)
    good = claims(
        aud=["x", "web"],
        typ="Bearer",
        iss="anybody",
        oid=12,
        realm_access={"roles": ["A"]},
        scope="publish read",
    )
    identity = await tokens.verify(signed(RSA, good), method="")
    assert identity.user_id == "12"
    assert identity.roles == {"A"}
    assert identity.permissions == {"publish", "read"}
    assert await code(tokens, signed(RSA, good | {"typ": "ID"})) == "AUTH_WRONG_TYPE"
    assert await code(tokens, signed(RSA, good | {"aud": "tidewire"})) == "AUTH_WRONG_AUDIENCE"


# What is refused, each with its code


def by_hand(header: Any, key: Key = RSA, payload: Claims | None = None) -> str:
    """A good token with another header put before it."""
    good = signed(key, payload).split(".")
    head = OctKey.import_key(json.dumps(header).encode()).as_dict()["k"]
    return ".".join([str(head), *good[1:]])


PUBLIC = OctKey.import_key(b"a public key would be refused by the library as a secret")
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
FAULTS: list[tuple[str, str, str]] = [
    ("AUTH_WRONG_AUDIENCE", "another audience", signed(RSA, claims(aud="other"))),
    ("AUTH_WRONG_AUDIENCE", "no audience", signed(RSA, claims(aud=...))),
    ("AUTH_WRONG_ISSUER", "another issuer", signed(RSA, claims(iss="https://other.example"))),
    ("AUTH_WRONG_ISSUER", "no issuer", signed(RSA, claims(iss=...))),
    ("AUTH_WRONG_ISSUER", "issuers", signed(RSA, claims(iss=[ISSUER]))),
    ("AUTH_NOT_YET_VALID", "not yet valid", signed(RSA, claims(nbf=NOW + 61))),
    ("AUTH_NOT_YET_VALID", "issued later", signed(RSA, claims(iat=NOW + 61))),
    ("AUTH_INVALID_TOKEN", "no user", signed(RSA, claims(sub=...))),
    ("AUTH_INVALID_TOKEN", "no end", signed(RSA, claims(exp=...))),
    ("AUTH_INVALID_TOKEN", "roles of another form", signed(RSA, claims(roles={"A": 1}))),
    ("AUTH_INVALID_TOKEN", "a stranger's key", signed(STRANGER)),
    ("AUTH_INVALID_TOKEN", "an unknown kid", signed(RSA, kid="unknown")),
    ("AUTH_INVALID_TOKEN", "a changed signature", signed(RSA)[:-8] + "AAAAAAAA"),
    ("AUTH_INVALID_TOKEN", "no signature", signed(RSA).rpartition(".")[0] + "."),
    ("AUTH_INVALID_TOKEN", "a kid that is no text", by_hand({"alg": "RS256", "kid": ["rsa"]})),
    ("AUTH_INVALID_TOKEN", "a key of its own", by_hand({"alg": "RS256", "jwk": {}, "jku": "x"})),
    ("AUTH_INVALID_TOKEN", "crit", by_hand({"alg": "RS256", "kid": "rsa", "crit": ["exp"]})),
    ("AUTH_INVALID_TOKEN", "crit of numbers", by_hand({"alg": "RS256", "crit": [[1]]})),
    ("AUTH_INVALID_TOKEN", "a list as header", by_hand(["alg", "RS256"])),
    ("AUTH_WRONG_ALGORITHM", "none", by_hand({"alg": "none", "kid": "rsa"})),
    ("AUTH_WRONG_ALGORITHM", "None", by_hand({"alg": "None"})),
    ("AUTH_WRONG_ALGORITHM", "no alg", by_hand({"kid": "rsa"})),
    ("AUTH_WRONG_ALGORITHM", "algs", by_hand({"alg": ["RS256"], "kid": "rsa"})),
    ("AUTH_WRONG_ALGORITHM", "HS512", signed(PUBLIC, alg="HS512", kid="rsa")),
    ("AUTH_WRONG_ALGORITHM", "RS384", signed(RSA, alg="RS384")),
    ("AUTH_WRONG_ALGORITHM", "PS256", signed(RSA, alg="PS256")),
    ("AUTH_WRONG_ALGORITHM", "ES256 with an RSA key", signed(EC, kid="rsa")),
    ("AUTH_WRONG_ALGORITHM", "RS256 with an EC key", signed(RSA, kid="ec")),
    ("AUTH_WRONG_ALGORITHM", "EdDSA with an EC key", by_hand({"alg": "EdDSA", "kid": "ec"})),
    ("AUTH_INVALID_TOKEN", "HS256 with the kid of a public key", signed(PUBLIC, kid="rsa")),
    ("AUTH_TOKEN_TOO_LARGE", "too large", signed(RSA, claims(more="x" * MAX_TOKEN_LENGTH))),
    ("AUTH_WRONG_TYPE", "an own token without typ", signed(OctKey.import_key(SECRET), kid=None)),
]


@pytest.mark.parametrize(
    ("wanted", "token"),
    [(wanted, token) for wanted, _, token in FAULTS],
    ids=[name for _, name, _ in FAULTS],
)
async def test_each_fault_has_its_code(tokens: Tokens, wanted: str, token: str) -> None:
    assert await code(tokens, token) == wanted


async def test_an_expired_token_of_the_issuer_is_said_to_be_expired(tokens: Tokens) -> None:
    with pytest.raises(TidewireError) as raised:
        await tokens.verify(signed(RSA, claims(exp=NOW)), method="")
    assert raised.value.code == "AUTH_EXPIRED_TOKEN"


async def test_a_public_key_is_no_shared_secret(tokens: Tokens) -> None:
    # By hand: the library itself refuses a public key as a secret.
    for key in (RSA, EC, ED):
        head = json.dumps({"alg": "HS256", "kid": key.kid}).encode()
        parts = [head, json.dumps(claims(typ="sse")).encode()]
        text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
        for encoding in ("PEM", "DER"):
            secret = key.as_bytes(encoding=encoding, private=False)
            mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
            forged = f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
            assert await code(tokens, forged) == "AUTH_INVALID_TOKEN"


# Reading the keys


async def test_the_keys_are_read_once_and_kept(tokens: Tokens, issuer: KeyServer) -> None:
    for key in (RSA, EC, ED):
        await tokens.verify(signed(key), method="")
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_a_withdrawn_one_forgotten(
    tokens: Tokens, issuer: KeyServer, clock: FakeClock
) -> None:
    await tokens.verify(signed(RSA), method="")
    issuer.body = key_set(NEW)
    clock.advance(REFRESH_SECONDS)
    assert (await tokens.verify(signed(NEW), method="")).user_id == "alice"
    assert issuer.asked == 2
    assert await code(tokens, signed(RSA)) == "AUTH_INVALID_TOKEN"


async def test_a_withdrawn_key_is_forgotten_in_time_although_nobody_asks_for_another(
    tokens: Tokens, issuer: KeyServer, clock: FakeClock
) -> None:
    await tokens.verify(signed(RSA), method="")
    issuer.body = key_set(NEW)
    clock.advance(MAX_AGE_SECONDS - 1)
    await tokens.verify(signed(RSA), method="")
    clock.advance(1)
    assert await code(tokens, signed(RSA)) == "AUTH_INVALID_TOKEN"
    assert issuer.asked == 2


async def test_a_storm_of_unknown_keys_asks_once_in_thirty_seconds(
    tokens: Tokens, issuer: KeyServer, clock: FakeClock
) -> None:
    await tokens.verify(signed(RSA), method="")
    clock.advance(REFRESH_SECONDS)
    for _ in range(3):
        await asyncio.gather(
            *(code(tokens, signed(EC, kid=f"unknown-{number}")) for number in range(100))
        )
        clock.advance(REFRESH_SECONDS / 3 - 0.1)
    assert issuer.asked == 2
    clock.advance(0.3)
    await code(tokens, signed(EC, kid="unknown"))
    assert issuer.asked == 3


async def test_those_who_come_together_share_one_reading(tokens: Tokens, issuer: KeyServer) -> None:
    issuer.open.clear()
    token = signed(RSA)
    asking = [asyncio.ensure_future(tokens.verify(token, method="")) for _ in range(20)]
    await issuer.reached.wait()
    # The one who began it goes away; the others still get their keys.
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    issuer.open.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(not isinstance(identity, BaseException) for identity in found[1:])
    assert issuer.asked == 1


async def test_a_known_key_does_not_wait_for_a_reading_that_others_caused(
    tokens: Tokens, issuer: KeyServer, clock: FakeClock
) -> None:
    await tokens.verify(signed(RSA), method="")
    clock.advance(REFRESH_SECONDS)
    issuer.open.clear()
    issuer.reached.clear()
    waiting = asyncio.ensure_future(code(tokens, signed(RSA, kid="unknown")))
    await issuer.reached.wait()
    assert (await tokens.verify(signed(RSA), method="")).user_id == "alice"
    assert not waiting.done()
    issuer.open.set()
    assert await waiting == "AUTH_INVALID_TOKEN"


BROKEN: list[tuple[str, str, bytes]] = [
    ("an error", "500 Oops", b"{}"),
    ("a redirect", "302 Found\r\nLocation: /keys", b""),
    ("no JSON", "200 OK", b"<html>"),
    ("no set", "200 OK", b"[]"),
    ("no keys", "200 OK", b'{"keys": []}'),
    ("no key that can be used", "200 OK", b'{"keys": [{"kty": "PQ", "kid": "rsa"}]}'),
    ("too much", "200 OK", b" " * (MAX_BYTES + 1)),
    ("brackets", "200 OK", b"[" * 100_000),
]


@pytest.mark.parametrize(
    ("status", "body"),
    [case[1:] for case in BROKEN],
    ids=[case[0] for case in BROKEN],
)
async def test_a_reading_that_fails_keeps_the_old_keys_and_is_noted(
    tokens: Tokens,
    issuer: KeyServer,
    clock: FakeClock,
    journal: FakeJournal,
    status: str,
    body: bytes,
) -> None:
    await tokens.verify(signed(RSA), method="")
    assert journal.notes == []
    issuer.status, issuer.body = status, body
    clock.advance(MAX_AGE_SECONDS)
    assert (await tokens.verify(signed(RSA), method="")).user_id == "alice"
    assert issuer.asked == 2
    assert journal.notes == ["An issuer's keys could not be read"]
    # It may be a key that the issuer has and we could not read: that is not the client's fault.
    with pytest.raises(Unavailable):
        await tokens.verify(signed(NEW), method="")
    assert issuer.asked == 2
    issuer.status, issuer.body = "200 OK", key_set(NEW)
    clock.advance(REFRESH_SECONDS)
    assert (await tokens.verify(signed(NEW), method="")).user_id == "alice"


async def test_an_issuer_that_was_never_reached_is_tried_again(
    tokens: Tokens, issuer: KeyServer, clock: FakeClock, journal: FakeJournal
) -> None:
    issuer.status = "503 Later"
    for _ in range(3):
        with pytest.raises(Unavailable) as raised:
            await tokens.verify(signed(RSA), method="")
    assert raised.value.retry_after == REFRESH_SECONDS * 1000
    assert issuer.asked == len(journal.notes) == 1
    issuer.status = "200 OK"
    clock.advance(REFRESH_SECONDS)
    assert (await tokens.verify(signed(RSA), method="")).user_id == "alice"


async def test_an_issuer_that_says_nothing_is_given_up(
    keys: Jwks, issuer: KeyServer, journal: FakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", 0.05)
    issuer.open.clear()
    with pytest.raises(Unavailable):
        await keys.find("rsa")
    assert len(journal.notes) == 1
    issuer.open.set()


async def test_nobody_answers(clock: FakeClock, journal: FakeJournal) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Unavailable):
        await Jwks(f"http://127.0.0.1:{port}/", clock=clock, journal=journal).find("rsa")
    assert len(journal.notes) == 1


def test_keys_may_be_used_on_one_event_loop_after_another(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(RSA))
    keys = Jwks(path, clock=FakeClock())
    for _ in range(2):
        assert len(asyncio.run(keys.find("rsa"))) == 1


async def test_keys_may_stand_in_a_file(
    tmp_path: Path, clock: FakeClock, journal: FakeJournal
) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(RSA))
    keys = Jwks(str(path), clock=clock, journal=journal)
    tokens = Tokens([], clock=clock, setting="", trusted=TrustedIssuer(keys))
    await tokens.verify(signed(RSA), method="")
    path.write_bytes(key_set(NEW))
    clock.advance(REFRESH_SECONDS)
    await tokens.verify(signed(NEW), method="")
    path.unlink()
    clock.advance(MAX_AGE_SECONDS)
    await tokens.verify(signed(NEW), method="")
    assert len(journal.notes) == 1


@pytest.mark.parametrize("source", ["http://", "https:///keys", "http://[::1/keys"])
def test_a_url_needs_a_host(source: str, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="JWKS"):
        Jwks(source, clock=clock)


class Details(FakeJournal):
    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        super().note(f"{what} {error} {context}")


async def test_a_password_in_the_url_is_not_noted(issuer: KeyServer, clock: FakeClock) -> None:
    issuer.status = "404 Not Found"
    journal = Details()
    url = issuer.url.replace("//", "//user:pass-word@") + "?key=the-key"
    with pytest.raises(Unavailable):
        await Jwks(url, clock=clock, journal=journal).find("rsa")
    (noted,) = journal.notes
    assert "/keys" in noted
    assert "404" in noted
    assert "pass-word" not in noted
    assert "the-key" not in noted


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        "key",
        {},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"},
        {"kty": "RSA", "e": "AQAB", "n": int_to_base64(2**2046 + 1)},
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
        RSA.as_dict(private=False) | {"use": "enc"},
        RSA.as_dict(private=False) | {"alg": "PS256"},
        RSA.as_dict(private=False) | {"alg": ["RS256"]},
        RSA.as_dict(private=False) | {"key_ops": ["sign"]},
        RSA.as_dict(private=False) | {"key_ops": "verify"},
        RSA.as_dict(private=False) | {"n": "!"},
        RSA.as_dict(private=False) | {"n": 5},
        RSA.as_dict(private=False) | {"kid": 5},
        EC.as_dict(private=False) | {"x": "AAAA"},
        {"kty": "EC", "crv": "P-256"},
        {"kty": ["RSA"]},
    ],
)
def test_a_key_that_cannot_verify_is_passed_over(jwk: Any) -> None:
    good = EC.as_dict(private=False)
    (key,) = parse_keys(json.dumps({"keys": [jwk, good]}).encode())
    assert key.kid == "ec"
    with pytest.raises(ValueError, match="no key"):
        parse_keys(json.dumps({"keys": [jwk]}).encode())


def test_a_key_verifies_nothing_but_its_own_algorithm() -> None:
    for key in parse_keys(key_set(RSA, EC, ED)):
        for other in (RSA, EC, ED, OctKey.import_key(SECRET)):
            if other.kid != key.kid:
                with pytest.raises(UnsupportedAlgorithmError):
                    key.claims(signed(other))


def test_private_members_are_not_kept() -> None:
    for key in (RSA, EC, ED):
        (kept,) = parse_keys(json.dumps({"keys": [key.as_dict(private=True)]}).encode())
        assert not kept.key.is_private
