"""Which tokens are good, and that none of the others is."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.fakes import FakeClock
from tidewire import TidewireError
from tidewire.auth.tokens import MAX_TOKEN_LENGTH, IssuedToken, Tokens
from tidewire.core.errors import (
    AuthenticationError,
    ConfigurationError,
    ExpiredToken,
    InvalidToken,
    NotConfigured,
)

SECRET = "a-secret-of-thirty-two-bytes-0001"
OTHER = "a-secret-of-thirty-two-bytes-0002"
NOW = FakeClock().now() // 1000

Claims = dict[str, Any]


def each(*values: Any) -> tuple[Any, ...]:
    """Values of any types, for a table."""
    return values


def claims(**changed: Any) -> Claims:
    good = {"sub": "alice", "exp": NOW + 600, "iat": NOW, "aud": "tidewire", "typ": "sse"}
    return {name: value for name, value in (good | changed).items() if value is not ...}


def encode(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def sign(payload: Any, secret: str = SECRET, header: Any = None, algorithm: str = "sha256") -> str:
    """A token made by hand, so that it may be anything."""
    signed = f"{encode({'alg': 'HS256'} if header is None else header)}.{encode(payload)}"
    mac = hmac.new(secret.encode(), signed.encode(), algorithm).digest()
    return f"{signed}.{encode(mac)}"


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens([SECRET], clock=clock, setting="SSE_JWT_SECRET")


async def test_a_token_says_who_and_what_they_may(tokens: Tokens) -> None:
    issued = tokens.issue("alice", roles=["B", "A"], permissions=["publish"], topics=["cats"])
    identity = await tokens.verify(issued.token, method="bearer_token")
    assert identity.user_id == "alice"
    assert identity.roles == {"A", "B"}
    assert identity.permissions == {"publish"}
    assert identity.topics == {"cats"}
    assert identity.method == "bearer_token"
    assert identity.expires_at == issued.expires_at == (NOW + 3600) * 1000
    assert issued.refresh_after == (NOW + 2700) * 1000
    assert identity.token_id


def test_issued_claims_are_those_of_the_contract(tokens: Tokens) -> None:
    decoded = jwt.decode(tokens.issue("alice").token, OctKey.import_key(SECRET), ["HS256"])
    assert decoded.header["alg"] == "HS256"
    jti = decoded.claims.pop("jti")
    assert len(jti) == 32
    assert decoded.claims == {
        "sub": "alice",
        "roles": [],
        "permissions": [],
        "topics": [],
        "iat": NOW,
        "exp": NOW + 3600,
        "aud": "tidewire",
        "typ": "sse",
    }


async def test_no_two_tokens_have_the_same_name(tokens: Tokens) -> None:
    async def name(issued: IssuedToken) -> str | None:
        return (await tokens.verify(issued.token, method="")).token_id

    assert await name(tokens.issue("alice")) != await name(tokens.issue("alice"))


GOOD: list[tuple[str, Claims]] = [
    ("the least there must be", claims(iat=...)),
    ("several audiences", claims(aud=["other", "tidewire"])),
    ("a fraction of a second", claims(exp=NOW + 0.5)),
    ("issued within the skew of clocks", claims(iat=NOW + 60)),
    ("valid from within the skew", claims(nbf=NOW + 60)),
    ("claims of others", claims(iss="x", name="Alice", nested={"a": [1]})),
    ("a user beyond ASCII", claims(sub="Zoë 👩‍🚀")),
]


@pytest.mark.parametrize("good", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
async def test_a_good_token_passes(tokens: Tokens, good: Claims) -> None:
    assert (await tokens.verify(sign(good), method="jwt_token")).user_id == good["sub"]


BAD: list[tuple[str, Any]] = [
    ("not yet valid", claims(nbf=NOW + 61)),
    ("issued in the future", claims(iat=NOW + 61)),
    *[(f"aud {aud!r}", claims(aud=aud)) for aud in each(..., "other", "", None, ["a"], [], 1, {})],
    *[(f"typ {typ!r}", claims(typ=typ)) for typ in (..., "refresh", "", None, ["sse"], "SSE")],
    *[
        (f"exp {exp!r}", claims(exp=exp))
        for exp in (
            ...,
            None,
            str(NOW + 600),
            True,
            [NOW + 600],
            -1,
            1e300,
            float("nan"),
            float("inf"),
        )
    ],
    *[(f"iat {iat!r}", claims(iat=iat)) for iat in ("x", True, float("nan"), float("inf"), -1)],
    *[(f"nbf {nbf!r}", claims(nbf=nbf)) for nbf in ("x", True, float("nan"), -1)],
    *[(f"sub {sub!r}", claims(sub=sub)) for sub in (..., None, "", 7, True, ["alice"])],
    *[(f"jti {jti!r}", claims(jti=jti)) for jti in (7, True, ["x"])],
    *[
        (f"{name} {value!r}", claims(**{name: value}))
        for name in ("roles", "permissions", "topics")
        for value in ("ADMIN", None, 1, {"ADMIN": 1}, ["a", 1], [None], [""], [["ADMIN"]])
    ],
    ("a payload that is a list", []),
    ("a payload that is a string", "alice"),
    ("a payload that is null", None),
    ("a payload that is no JSON", b"alice"),
    ("a payload that is no text", b"\xff\xfe"),
    ("an empty payload", b""),
]


@pytest.mark.parametrize("bad", [case[1] for case in BAD], ids=[case[0] for case in BAD])
async def test_a_token_with_a_wrong_claim_is_refused_although_we_signed_it(
    tokens: Tokens, bad: Any
) -> None:
    with pytest.raises(InvalidToken):
        await tokens.verify(sign(bad), method="jwt_token")


@pytest.mark.parametrize("exp", [NOW, NOW - 1, 0, NOW - 0.001])
async def test_an_expired_token_is_said_to_be_expired(tokens: Tokens, exp: float) -> None:
    with pytest.raises(ExpiredToken):
        await tokens.verify(sign(claims(exp=exp)), method="jwt_token")


async def test_a_token_ends_at_its_millisecond(tokens: Tokens, clock: FakeClock) -> None:
    token = tokens.issue("alice", lifetime=100).token
    clock.advance(99.999)
    await tokens.verify(token, method="jwt_token")
    clock.advance(0.001)
    with pytest.raises(ExpiredToken):
        await tokens.verify(token, method="jwt_token")


async def test_an_expired_token_of_another_secret_is_not_told_apart(tokens: Tokens) -> None:
    with pytest.raises(InvalidToken):
        await tokens.verify(sign(claims(exp=NOW - 1), OTHER), method="jwt_token")


def confused() -> str:
    """Signed by HMAC with a public key as the secret, and said to be RSA."""
    public = RSAKey.generate_key(2048).as_pem(private=False).decode()
    return sign(claims(), public, {"alg": "RS256"})


def really_rsa() -> str:
    return jwt.encode({"alg": "RS256"}, claims(), RSAKey.generate_key(2048), ["RS256"])


good = sign(claims())
head, payload, signature = good.split(".")

FORGED: list[tuple[str, str]] = [
    ("signed by another secret", sign(claims(), OTHER)),
    ("signed by no secret", sign(claims(), "")),
    *[
        (f"alg {alg!r}", sign(claims(), header={"alg": alg}))
        for alg in each(
            "none",
            "None",
            "NONE",
            "",
            "hs256",
            "HS384",
            "RS256",
            "ES256",
            "dir",
            None,
            1,
            [],
        )
    ],
    ("alg none without a signature", f"{encode({'alg': 'none'})}.{payload}."),
    ("alg none with a good signature", f"{encode({'alg': 'none'})}.{payload}.{signature}"),
    ("HS512, although signed so", sign(claims(), header={"alg": "HS512"}, algorithm="sha512")),
    ("no alg", sign(claims(), header={"typ": "JWT"})),
    ("a public key as the secret", confused()),
    ("RS256 by a key of somebody", really_rsa()),
    ("a key of its own", sign(claims(), OTHER, {"alg": "HS256", "jwk": {"kty": "oct", "k": ""}})),
    ("a critical header", sign(claims(), header={"alg": "HS256", "crit": ["x"], "x": 1})),
    (
        "an unencoded payload",
        sign(claims(), header={"alg": "HS256", "b64": False, "crit": ["b64"]}),
    ),
    *[
        (f"the header {header!r}", sign(claims(), header=header))
        for header in each([], "HS256", 1, True, b"", b"{", b"\xff", b"[" * 3000)
    ],
    ("no signature", f"{head}.{payload}."),
    ("two parts", f"{head}.{payload}"),
    ("four parts", f"{good}.{signature}"),
    ("five parts", f"{good}.{signature}.{signature}"),
    ("the signature cut", good[:-1]),
    ("the signature and more", f"{good}AAAA"),
    ("another payload", f"{head}.{encode(claims(sub='bob'))}.{signature}"),
    ("another header", f"{encode({'alg': 'HS256', 'kid': 'x'})}.{payload}.{signature}"),
    ("empty", ""),
    ("dots", ".."),
    ("many dots", "." * 5000),
    ("a space before", f" {good}"),
    ("a line feed after", f"{good}\n"),
    ("garbage", "garbage"),
    ("no base64", "a.b.c"),
    ("beyond ASCII", "é.é.é"),
    ("a lone surrogate", "\ud800.a.b"),
    ("a NUL", "\0"),
    ("JSON", json.dumps({"payload": payload, "signatures": []})),
    ("longer than any of ours", sign(claims(padding="x" * MAX_TOKEN_LENGTH))),
]


@pytest.mark.parametrize("token", [case[1] for case in FORGED], ids=[case[0] for case in FORGED])
async def test_a_token_that_is_not_ours_is_refused_and_not_repeated(
    tokens: Tokens, token: str
) -> None:
    with pytest.raises(InvalidToken) as raised:
        await tokens.verify(token, method="jwt_token")
    told = json.dumps(raised.value.problem())
    assert SECRET not in told
    assert len(told) < 500
    assert raised.value.status == 401


CODES: list[tuple[str, str]] = [
    ("AUTH_INVALID_TOKEN", "garbage"),
    ("AUTH_INVALID_TOKEN", sign(claims(), OTHER)),
    ("AUTH_INVALID_TOKEN", sign(claims(sub=...))),
    ("AUTH_INVALID_TOKEN", sign(claims(exp=...))),
    ("AUTH_INVALID_TOKEN", sign(claims(roles="ADMIN"))),
    ("AUTH_EXPIRED_TOKEN", sign(claims(exp=NOW))),
    ("AUTH_NOT_YET_VALID", sign(claims(nbf=NOW + 61))),
    ("AUTH_NOT_YET_VALID", sign(claims(iat=NOW + 61))),
    ("AUTH_WRONG_AUDIENCE", sign(claims(aud="other"))),
    ("AUTH_WRONG_AUDIENCE", sign(claims(aud=...))),
    ("AUTH_WRONG_TYPE", sign(claims(typ="refresh"))),
    ("AUTH_WRONG_TYPE", sign(claims(typ=...))),
    ("AUTH_WRONG_ALGORITHM", f"{encode({'alg': 'none'})}.{payload}."),
    ("AUTH_WRONG_ALGORITHM", sign(claims(), header={"alg": "HS512"}, algorithm="sha512")),
    ("AUTH_WRONG_ALGORITHM", confused()),
    ("AUTH_WRONG_ALGORITHM", really_rsa()),
    ("AUTH_TOKEN_TOO_LARGE", sign(claims(padding="x" * MAX_TOKEN_LENGTH))),
]


@pytest.mark.parametrize(("code", "token"), CODES, ids=lambda text: text[:24])
async def test_each_fault_has_its_code(tokens: Tokens, code: str, token: str) -> None:
    with pytest.raises(AuthenticationError) as raised:
        await tokens.verify(token, method="jwt_token")
    assert raised.value.problem()["code"] == code
    assert raised.value.problem()["status"] == 401


def test_without_a_secret_nothing_is_signed(clock: FakeClock) -> None:
    with pytest.raises(NotConfigured, match="THE_SETTING"):
        Tokens([], clock=clock, setting="THE_SETTING").issue("alice")


async def test_a_secret_can_be_rotated(clock: FakeClock) -> None:
    old = Tokens([OTHER], clock=clock, setting="").issue("alice").token
    both = Tokens([SECRET, OTHER], clock=clock, setting="")
    assert (await both.verify(old, method="")).user_id == "alice"
    new = both.issue("alice").token
    assert (
        await Tokens([SECRET], clock=clock, setting="").verify(new, method="")
    ).user_id == "alice"
    with pytest.raises(InvalidToken):
        await Tokens([SECRET], clock=clock, setting="").verify(old, method="")


@pytest.mark.parametrize("secret", ["short", "q" * 31, "é" * 15])
def test_a_short_secret_is_refused_and_not_repeated(secret: str, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match=r"^THE_SETTING .* 32") as raised:
        Tokens([SECRET, secret], clock=clock, setting="THE_SETTING")
    assert secret not in str(raised.value)


async def test_the_length_of_a_secret_is_counted_in_bytes(clock: FakeClock) -> None:
    tokens = Tokens(["é" * 16], clock=clock, setting="")
    assert (await tokens.verify(tokens.issue("alice").token, method="")).user_id == "alice"


async def test_every_refusal_is_one_of_ours(tokens: Tokens) -> None:
    for length in range(len(good)):
        with pytest.raises(TidewireError):
            await tokens.verify(good[:length], method="")
