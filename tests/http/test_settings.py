"""The settings: each is read, and a wrong one is refused by its name."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from tests.http.server import SECRET
from tidewire import Settings, Tidewire, create_app
from tidewire.core.errors import ConfigurationError
from tidewire.http.settings import unknown_settings

READ: list[tuple[str, str, str, Any]] = [
    # the variable, what it is set to, the field, its value
    ("TIDEWIRE_LOG_URL", "redis://a.test", "log_address", "redis://a.test"),
    ("DRAGONFLY_URL", "redis://b.test", "log_address", "redis://b.test"),
    ("REDIS_URL", "redis://c.test", "log_address", "redis://c.test"),
    ("TIDEWIRE_LOG_NAME", "orders", "log_name", "orders"),
    ("TIDEWIRE_SPOOL_DIR", "/var/spool/x", "spool_dir", Path("/var/spool/x")),
    ("TIDEWIRE_METRICS_TOKEN", "scrape", "metrics_token", SecretStr("scrape")),
    ("TIDEWIRE_RETENTION_EVENTS", "7", "retention_events", 7),
    ("TIDEWIRE_RETENTION_SECONDS", "1.5", "retention_seconds", 1.5),
    ("TIDEWIRE_RETENTION_BYTES", "4096", "retention_bytes", 4096),
    ("TIDEWIRE_PING_INTERVAL", "2.5", "ping_interval", 2.5),
    ("TIDEWIRE_DRAIN_SECONDS", "0", "drain_seconds", 0),
    ("TIDEWIRE_MAX_REPLAY_EVENTS", "0", "max_replay_events", 0),
    ("TIDEWIRE_ADMIN_ROLES", "ROOT, BOSS,", "admin_roles", ("ROOT", "BOSS")),
    ("SSE_JWT_SECRET", f"{SECRET}, {SECRET}2", "secrets", (SECRET, f"{SECRET}2")),
    ("SSE_JWT_SECRET", SECRET, "secret_setting", "SSE_JWT_SECRET"),
    ("NEXTAUTH_SECRET", f"{SECRET},x", "secrets", (f"{SECRET},x",)),
    ("NEXTAUTH_URL", "https://app.test/x", "nextauth_url", "https://app.test/x"),
    ("TIDEWIRE_RATE_LIMITS", "off", "rate_limits", "off"),
    (
        "RATE_LIMIT_REDIS_URL",
        "redis://limits.test",
        "rate_limit_redis_url",
        SecretStr("redis://limits.test"),
    ),
    ("TIDEWIRE_MAX_CONNECTIONS_PER_USER", "0", "max_connections_per_user", 0),
    ("TIDEWIRE_MAX_CONNECTIONS", "0", "max_connections", 0),
    ("TIDEWIRE_TRUSTED_PROXIES", "10.0.0.0/8, ::1", "trusted_proxies", ("10.0.0.0/8", "::1")),
    ("TIDEWIRE_CORS_ORIGINS", "https://a.test,", "cors_origins", ("https://a.test",)),
    ("TIDEWIRE_JWKS", "https://id.test/keys", "jwks", "https://id.test/keys"),
    ("TIDEWIRE_JWT_ISSUER", "https://id.test", "jwt_issuer", "https://id.test"),
    ("TIDEWIRE_JWT_AUDIENCES", "a,b", "jwt_audiences", ("a", "b")),
    ("TIDEWIRE_CLAIMS", "user=uid,roles=a.b|c", "claims", ("user=uid", "roles=a.b|c")),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TIDEWIRE_", "SSE_", "NEXTAUTH_", "RATE_", "REDIS_", "DRAGONFLY_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("variable", "text", "field", "value"), READ)
def test_each_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: Any
) -> None:
    assert getattr(Settings.load(), field) != value
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.load(), field) == value


def test_every_setting_is_in_the_table_above() -> None:
    aliases = {field.alias for field in Settings.model_fields.values()}
    assert aliases == {variable for variable, *_ in READ}


@pytest.mark.parametrize(
    ("variable", "texts"),
    [
        ("TIDEWIRE_RETENTION_EVENTS", ["0", "-1", "x", "1.5", "1e3"]),
        ("TIDEWIRE_RETENTION_SECONDS", ["0", "-1", "x", "nan", "inf"]),
        ("TIDEWIRE_RETENTION_BYTES", ["0", "-1", "64MB"]),
        ("TIDEWIRE_PING_INTERVAL", ["0", "-1", "x", "nan", "inf", "30s"]),
        ("TIDEWIRE_DRAIN_SECONDS", ["-1", "x", "nan", "inf"]),
        ("TIDEWIRE_MAX_CONNECTIONS", ["-1", "x", "1.5"]),
        ("TIDEWIRE_MAX_CONNECTIONS_PER_USER", ["-1", "x", "1.5"]),
        ("TIDEWIRE_MAX_REPLAY_EVENTS", ["-1", "x", "1.5"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, texts: list[str]
) -> None:
    for text in texts:
        monkeypatch.setenv(variable, text)
        with pytest.raises(ConfigurationError, match=f"^{variable}: "):
            Settings.load()


def test_a_log_that_there_is_not_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEWIRE_LOG_URL", "carrier-pigeon://user:password@host")
    with pytest.raises(ConfigurationError, match="TIDEWIRE_LOG_URL") as raised:
        Tidewire(dev=True)
    assert "password" not in str(raised.value)


ADDRESSES = ("TIDEWIRE_LOG_URL", "DRAGONFLY_URL", "REDIS_URL")
PASSWORD = "hunter2-of-redis"


@pytest.mark.parametrize("unset", range(len(ADDRESSES)))
def test_the_log_is_where_the_first_of_the_addresses_says(
    monkeypatch: pytest.MonkeyPatch, unset: int
) -> None:
    for name in ADDRESSES[unset:]:
        monkeypatch.setenv(name, f"redis://{name}.test")
    assert Settings.load().log_address == f"redis://{ADDRESSES[unset]}.test"


def test_without_an_address_the_log_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().log_address == "memory:"
    for name in ADDRESSES:
        monkeypatch.setenv(name, "")
    assert Settings.load().log_address == "memory:"


def test_memory_is_named_where_redis_is_for_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://sessions.test")
    monkeypatch.setenv("TIDEWIRE_LOG_URL", "memory:")
    assert Settings.load().log_address == "memory:"


@pytest.mark.parametrize("variable", [*ADDRESSES, "RATE_LIMIT_REDIS_URL"])
def test_a_password_of_redis_is_not_in_what_is_printed_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"redis://:{PASSWORD}@redis.test:6379/0")
    settings = Settings.load()
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert PASSWORD not in shown + repr(settings.model_dump())


@pytest.mark.parametrize("variable", ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        f"redis://:{PASSWORD}@redis.test:port",
        f"redis://:{PASSWORD}@redis.test:99999999",
        f"redis://:{PASSWORD}@[redis.test",
        f"redis+sentinel://:{PASSWORD}@redis.test:x/name",
        f"redis+sentinel://:{PASSWORD}@redis.test",
        f"rediss+sentinel://:{PASSWORD}@redis.test/name/database",
        f"reddis://:{PASSWORD}@redis.test",
        f"redis//:{PASSWORD}@redis.test",
        f"redis//{PASSWORD}@redis.test",
        f"{PASSWORD}@redis.test",
        f"{PASSWORD}@redis.test:6379/0",
        PASSWORD,
    ],
)
def test_a_bad_address_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError) as raised:
        Tidewire(dev=True)
    assert PASSWORD not in str(raised.value) + repr(raised.value) + caplog.text


@pytest.mark.parametrize("name", ["two words", "{braces}", "x" * 65, "é"])
def test_a_name_of_the_log_that_is_none_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://redis.test")
    monkeypatch.setenv("TIDEWIRE_LOG_NAME", name)
    with pytest.raises(ConfigurationError, match=r"^TIDEWIRE_LOG_NAME: "):
        Tidewire(dev=True)


def test_a_spool_folder_that_is_none_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REDIS_URL", "redis://redis.test")
    monkeypatch.setenv("TIDEWIRE_SPOOL_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match=r"^TIDEWIRE_SPOOL_DIR: "):
        Tidewire(dev=True)


def test_the_secret_of_streams_goes_before_the_secret_of_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEXTAUTH_SECRET", f"{SECRET}-of-sessions")
    monkeypatch.setenv("SSE_JWT_SECRET", f"{SECRET}-of-streams")
    settings = Settings.load()
    assert settings.secrets == (f"{SECRET}-of-streams",)
    assert settings.secret_setting == "SSE_JWT_SECRET"


def test_a_variable_that_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings.load()
    for variable, *_ in READ:
        monkeypatch.setenv(variable, "")
    assert Settings.load() == unset


@pytest.mark.parametrize("text", ["roles", "rolls=x", "roles=", "=x"])
def test_a_place_of_claims_that_is_none_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TIDEWIRE_CLAIMS", text)
    monkeypatch.setenv("TIDEWIRE_JWKS", "https://id.test/keys")
    with pytest.raises(ConfigurationError, match="TIDEWIRE_CLAIMS"):
        create_app()


def test_a_session_callable_alone_is_enough_to_start() -> None:
    async def nobody(request: HTTPConnection) -> None:
        return None

    Tidewire(session=nobody)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_PING_INTERVAL", "5")
    assert Settings.load(ping_interval=7).ping_interval == 7


def test_a_secret_is_not_in_what_is_printed_of_the_settings() -> None:
    settings = Settings.load(sse_jwt_secret=SECRET, nextauth_secret=SECRET, metrics_token=SECRET)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("variable", ["SSE_JWT_SECRET", "NEXTAUTH_SECRET"])
def test_a_short_secret_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "too-short-a-secret")
    with pytest.raises(ConfigurationError, match=f"^{variable} ") as raised:
        create_app()
    assert "too-short-a-secret" not in str(raised.value)


@pytest.mark.parametrize("text", [None, "", " , "])
def test_without_a_secret_and_outside_development_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        monkeypatch.setenv("SSE_JWT_SECRET", text)
    with pytest.raises(ConfigurationError, match=r"SSE_JWT_SECRET.*NEXTAUTH_SECRET.*--dev"):
        create_app()
    Tidewire(dev=True)


def test_settings_of_ours_that_do_not_exist_are_found() -> None:
    environment = {
        "TIDEWIRE_PING_INTERVALL": "1",
        "TIDEWIRE_PING_INTERVAL": "1",
        "TIDEWIRE_ADMIN_ROLE": "x",
        "TIDEWIRE_URL": "http://localhost",
        "TIDEWIRE_TOKEN": "x",
        "PATH": "x",
    }
    assert unknown_settings(environment) == ["TIDEWIRE_ADMIN_ROLE", "TIDEWIRE_PING_INTERVALL"]
