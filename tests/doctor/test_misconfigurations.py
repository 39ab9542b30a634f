"""Each thing that goes wrong in deployments, set up for real: it is named by the check that is for
it, and by no other."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.doctor.certificates import certify
from tests.doctor.conftest import PAGE, Doctor, serving
from tests.doctor.examined import AHEAD, OTHER_SECRET, SECRET
from tests.doctor.nginx import GOOD, Site, nginx, shipped
from tests.redisserver import free_port, redis_server
from tests.serve.processes import COMMAND, running, until
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

OTHER_PAGE = "https://admin.example.com"
HELD = 1.5
"""Seconds to wait for what will not come."""

GREEDY = "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"


def token(user: str, *, secret: str = SECRET, lifetime: int = 600) -> str:
    tokens = Tokens([secret], clock=SystemClock(), setting="SSE_JWT_SECRET")
    return tokens.issue(user, lifetime=lifetime).token


# In good order


def test_in_the_shipped_deployment_nothing_is_wrong(examine: Doctor, tmp_path: Path) -> None:
    certificate = certify(tmp_path, began=timedelta(days=1), ends=timedelta(days=80))
    redis_folder = tmp_path / "redis"
    redis_folder.mkdir()
    with (
        redis_server(redis_folder, options=["--maxmemory-policy", "noeviction"]) as redis,
        serving(
            tmp_path,
            TIDEWIRE_LOG_URL=redis.url,
            TIDEWIRE_CORS_ORIGINS=PAGE,
            RATE_LIMIT_REDIS_URL=redis.url,
        ) as server,
        shipped(tmp_path, server, certificate) as url,
    ):
        words = (url, "--origin", PAGE, "--ca-file", certificate.certfile)
        examined = examine(*words, TIDEWIRE_LOG_URL=redis.url, RATE_LIMIT_REDIS_URL=redis.url)
    assert examined.wrong == {}
    # Nothing was left out, either.
    assert {finding["status"] for finding in examined.findings.values()} == {"pass"}
    assert examined.code == 0


def test_http_1_0_to_the_server_works_and_is_said_to(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    # And with nothing said of buffering: the server asks for none.
    site = Site(passing="proxy_http_version 1.0;")
    with nginx(tmp_path, [server], site) as url:
        examined = examine(url)
    assert examined.wrong == {}
    assert "HTTP/1.0, works" in examined.findings["stream.opened"]["reason"]


def test_without_permissions_less_is_seen_and_nothing_is_wrong(
    examine: Doctor, server: str
) -> None:
    examined = examine(server, "--token", token("plain-user"))
    assert examined.wrong == {}
    assert examined.findings["delivery.stream"]["status"] == "pass"
    assert examined.findings["delivery.targets"]["status"] == "skip"


def test_an_administrators_token_shows_the_versions_of_all_nodes(
    examine: Doctor, tmp_path: Path
) -> None:
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    administrator = tokens.issue("boss", roles=["ADMIN"]).token
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        redis_server(folder) as redis,
        serving(tmp_path, "--workers", "2", TIDEWIRE_LOG_URL=redis.url) as url,
    ):
        examined = examine(url, "--token", administrator)
    assert examined.wrong == {}
    assert "It is in Redis." in examined.findings["nodes.log"]["reason"]


def test_a_development_server_takes_a_name(examine: Doctor, tmp_path: Path) -> None:
    with serving(tmp_path, "--dev") as url:
        # Without the secret, and without the file that the command would find it in.
        examined = examine(url, SSE_JWT_SECRET="", XDG_RUNTIME_DIR=str(tmp_path / "elsewhere"))
    assert examined.wrong == {}
    assert examined.findings["delivery.resume"]["status"] == "pass"
    assert "name" in examined.findings["auth.token"]["reason"]


# Proxies


def test_forced_buffering_is_named(examine: Doctor, server: str, tmp_path: Path) -> None:
    with nginx(tmp_path, [server], Site(passing=GREEDY)) as url:
        examined = examine(url, timeout=HELD)
    found = examined.named("stream.buffering")
    assert "proxy_buffering off;" in found["mend"]
    assert found["measured"]["connectedMs"] is None
    # By polling it works all the same.
    assert examined.findings["delivery.polling"]["status"] == "pass"


def test_compression_that_holds_streams_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    gzip = "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0; proxy_http_version 1.1;"
    with nginx(tmp_path, [server], Site(passing=GREEDY + gzip)) as url:
        found = examine(url, timeout=HELD).named("stream.compression")
    assert found["status"] == "fail"
    assert "gzip off;" in found["mend"]


def test_compression_that_lets_streams_through_is_a_warning(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    gzip = "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;"
    with nginx(tmp_path, [server], Site(passing=GOOD + gzip)) as url:
        found = examine(url).named("stream.compression")
    assert found["status"] == "warn"
    assert found["measured"]["contentEncoding"] == "gzip"


def test_a_time_out_below_the_ping_interval_is_named(examine: Doctor, tmp_path: Path) -> None:
    with (
        serving(tmp_path, TIDEWIRE_PING_INTERVAL="2") as server,
        nginx(tmp_path, [server], Site(passing=f"{GOOD} proxy_read_timeout 1s;")) as url,
    ):
        found = examine(url).named("stream.idle")
    assert "proxy_read_timeout 5m;" in found["mend"]
    assert 900 <= found["measured"]["cutAfterMs"] < 2000


def test_who_does_not_wait_for_a_ping_is_told_how_long_it_takes(
    examine: Doctor, tmp_path: Path
) -> None:
    with serving(tmp_path, TIDEWIRE_PING_INTERVAL="30") as url:
        examined = examine(url, timeout=1)
    assert examined.wrong == {}
    assert examined.findings["stream.idle"]["status"] == "skip"
    assert examined.findings["stream.idle"]["mend"] == "Give --timeout 36."


def test_a_cache_control_that_was_taken_away_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    with nginx(tmp_path, [server], Site(passing=f"{GOOD} proxy_hide_header Cache-Control;")) as url:
        examine(url).named("stream.headers")


def test_a_proxy_that_takes_authorization_away_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    site = Site(passing=f'{GOOD} proxy_set_header Authorization "";')
    with nginx(tmp_path, [server], site) as url:
        examined = examine(url)
    # What follows from it, is a hint: tokens stand in the query now.
    assert examined.wrong == {"auth.header": "fail", "auth.query": "warn"}
    assert "$http_authorization" in examined.findings["auth.header"]["mend"]
    assert examined.findings["delivery.resume"]["status"] == "pass"


def test_a_proxy_that_takes_last_event_id_away_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    site = Site(passing=f'{GOOD} proxy_set_header Last-Event-ID "";')
    with nginx(tmp_path, [server], site) as url:
        found = examine(url).named("delivery.resume")
    assert "one in the query does" in found["reason"]
    assert "$http_last_event_id" in found["mend"]


def test_a_proxy_that_refuses_to_post_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    site = Site(passing=f"{GOOD} limit_except GET {{ deny all; }}")
    with nginx(tmp_path, [server], site) as url:
        found = examine(url).named("delivery.publish")
    assert "403" in found["reason"]


def test_a_proxy_that_answers_401_by_itself_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    lines = "error_page 401 /login; location = /login { return 200 'Please log in'; }"
    site = Site(lines=lines, passing=f"{GOOD} proxy_intercept_errors on;")
    with nginx(tmp_path, [server], site) as url:
        examined = examine(url)
    assert set(examined.wrong) <= {"auth.none", "auth.bad", "auth.expired"}
    assert examined.wrong["auth.none"] == "fail"


def test_polls_without_an_answer_are_named(examine: Doctor, server: str, tmp_path: Path) -> None:
    lines = "location = /api/realtime/polling { return 444; }"
    with nginx(tmp_path, [server], Site(lines=lines)) as url:
        found = examine(url).named("delivery.polling")
    assert "no answer" in found["reason"]


def test_an_answer_that_does_not_come_is_named_and_the_rest_is_skipped(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    lines = "location = /api/realtime/test { return 444; }"
    with nginx(tmp_path, [server], Site(lines=lines)) as url:
        examined = examine(url)
    assert "/api/realtime/test" in examined.named("delivery.publish")["reason"]
    assert examined.findings["stream.ping"]["status"] == "pass"
    lines = "location = /api/realtime/cursor { return 444; }"
    with nginx(tmp_path, [server], Site(lines=lines)) as url:
        examined = examine(url)
    assert "/api/realtime/cursor" in examined.named("auth.none")["reason"]
    assert examined.findings["stream.opened"]["status"] == "skip"


# Addresses


def test_a_path_at_which_somebody_else_answers_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    lines = "location / { default_type text/html; return 200 '<html>A shop</html>'; }"
    with nginx(tmp_path, [server], Site(lines=lines, location="/api/")) as url:
        found = examine(f"{url}/wrong").named("address.path")
    assert "an HTML page" in found["reason"]
    assert "Without /wrong there is one." in found["reason"]


def test_a_prefix_that_the_proxy_should_have_taken_off_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    with nginx(tmp_path, [server], Site(location="/live/")) as url:
        found = examine(f"{url}/live").named("address.path")
    assert "it does not know this path" in found["reason"]
    assert "location /live/ { proxy_pass http://tidewire/; }" in found["mend"]


def test_a_prefix_that_is_taken_off_is_right(examine: Doctor, server: str, tmp_path: Path) -> None:
    with nginx(tmp_path, [server], Site(location="/live/", path="/")) as url:
        # As it stands in the client's configuration.
        examined = examine(f"{url}/live/api/sse")
    assert examined.wrong == {}


def test_an_address_that_leads_on_is_named(examine: Doctor, server: str, tmp_path: Path) -> None:
    lines = "location /api/ { return 301 https://events.example.com$request_uri; }"
    with nginx(tmp_path, [server], Site(lines=lines)) as url:
        found = examine(url).named("address.path")
    assert "https://events.example.com" in found["reason"]


def test_a_proxy_without_a_server_is_named(examine: Doctor, tmp_path: Path) -> None:
    with nginx(tmp_path, [f"http://127.0.0.1:{free_port()}"]) as url:
        found = examine(url).named("address.reached")
    assert "502" in found["reason"]


def test_an_address_at_which_nobody_listens_is_named(examine: Doctor) -> None:
    examine(f"http://127.0.0.1:{free_port()}").named("address.reached")


def test_a_certificate_about_to_expire_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    shown = certify(tmp_path, began=timedelta(days=88), ends=timedelta(days=2))
    with nginx(tmp_path, [server], Site(encrypted=shown)) as url:
        examined = examine(url, "--ca-file", shown.certfile)
    assert "not renewed in time" in examined.named("address.certificate")["reason"]
    assert examined.findings["delivery.stream"]["status"] == "pass"


def test_a_certificate_that_has_expired_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    shown = certify(tmp_path, began=timedelta(days=90), ends=-timedelta(hours=1))
    with nginx(tmp_path, [server], Site(encrypted=shown)) as url:
        found = examine(url, "--ca-file", shown.certfile).named("address.certificate")
    assert "expired" in found["reason"]


def test_a_certificate_that_nobody_vouches_for_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    shown = certify(tmp_path, began=timedelta(days=1), ends=timedelta(days=80))
    with nginx(tmp_path, [server], Site(encrypted=shown)) as url:
        examine(url).named("address.certificate")


# Who, when, and from where


def test_an_origin_that_is_not_allowed_is_named(examine: Doctor, server: str) -> None:
    found = examine(server, "--origin", OTHER_PAGE).named("cors.origin")
    assert f"TIDEWIRE_CORS_ORIGINS={OTHER_PAGE}" in found["mend"]


def test_a_proxy_that_speaks_of_cors_too_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    twice = f"{GOOD} add_header Access-Control-Allow-Origin {PAGE} always;"
    with nginx(tmp_path, [server], Site(passing=twice)) as url:
        found = examine(url, "--origin", PAGE).named("cors.origin")
    assert "twice" in found["reason"]


def test_a_proxy_that_hides_what_is_exposed_is_named(
    examine: Doctor, server: str, tmp_path: Path
) -> None:
    hidden = f"{GOOD} proxy_hide_header Access-Control-Expose-Headers;"
    with nginx(tmp_path, [server], Site(passing=hidden)) as url:
        found = examine(url, "--origin", PAGE).named("cors.headers")
    assert "Retry-After" in found["reason"]


def test_an_expired_token_is_named(examine: Doctor, server: str) -> None:
    found = examine(server, "--token", token("late", lifetime=-60)).named("auth.token")
    assert "AUTH_EXPIRED_TOKEN" in found["reason"]
    assert "Get a new token" in found["mend"]


def test_a_token_of_another_secret_is_named(examine: Doctor, server: str) -> None:
    found = examine(server, "--token", token("x", secret=OTHER_SECRET)).named("auth.token")
    assert "AUTH_INVALID_TOKEN" in found["reason"]
    assert "SSE_JWT_SECRET=new,old" in found["mend"]


def test_a_clock_that_is_wrong_is_named(examine: Doctor, tmp_path: Path) -> None:
    with serving(tmp_path, "tests.doctor.skewed:app", **{AHEAD: "300"}) as url:
        found = examine(url).named("clock.server")
    assert abs(found["measured"]["serverAheadMs"] - 300_000) < 1000
    assert "NTP" in found["mend"]


def test_a_clock_so_wrong_that_no_token_is_good_is_named(examine: Doctor, tmp_path: Path) -> None:
    with serving(tmp_path, "tests.doctor.skewed:app", **{AHEAD: "7200"}) as url:
        examine(url).named("clock.server")


def test_a_rate_that_is_used_up_is_named(examine: Doctor, tmp_path: Path) -> None:
    shown = token("busy")
    with serving(tmp_path, TIDEWIRE_RATE_LIMITS="connect=3/minute") as url:
        for _ in range(3):
            with httpx.stream("GET", f"{url}/api/sse", params={"token": shown}) as stream:
                assert stream.status_code == 200
        found = examine(url, "--token", shown).named("limits.rates")
    assert "RATE_LIMIT_EXCEEDED" in found["reason"]
    assert "TIDEWIRE_RATE_LIMITS" in found["mend"]
    assert int(found["measured"]["retryAfter"]) > 0


def test_a_user_who_has_as_many_streams_as_there_may_be_is_named(
    examine: Doctor, tmp_path: Path
) -> None:
    shown = token("many-tabs")
    with (
        serving(tmp_path, TIDEWIRE_MAX_CONNECTIONS_PER_USER="1") as url,
        httpx.stream("GET", f"{url}/api/sse", params={"token": shown}) as stream,
    ):
        assert stream.status_code == 200
        found = examine(url, "--token", shown).named("limits.rates")
    assert "TOO_MANY_CONNECTIONS" in found["reason"]


# Nodes and logs


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(tmp_path)) for _ in range(2)]


def test_two_workers_with_logs_of_their_own_are_named(
    examine: Doctor, tmp_path: Path, two_servers: list[str]
) -> None:
    with nginx(tmp_path, two_servers) as url:
        found = examine(url).named("nodes.log")
    assert found["measured"]["epochs"] == 2
    assert "TIDEWIRE_LOG_URL" in found["mend"]


def test_workers_on_one_socket_with_logs_of_their_own_are_named(
    examine: Doctor, tmp_path: Path
) -> None:
    port = free_port()
    uvicorn = str(Path(COMMAND).parent / "uvicorn")
    words = ["--factory", "tidewire:create_app", "--workers", "2", "--port", str(port)]
    with running([uvicorn, *words], tmp_path, examine.env) as process:
        until(lambda: process.output.count("Application startup complete") == 2, 30)
        # Who takes a connection is chance.
        for _ in range(2):
            examine(f"http://127.0.0.1:{port}", timeout=1).named("nodes.log")


def test_a_redis_that_is_not_there_is_named_on_both_sides(examine: Doctor, tmp_path: Path) -> None:
    dead = f"redis://:hush@127.0.0.1:{free_port()}"
    with serving(tmp_path, TIDEWIRE_LOG_URL=dead) as url:
        examined = examine(url, TIDEWIRE_LOG_URL=dead)
    assert examined.wrong == {"redis.reached": "fail", "address.ready": "fail"}
    assert examined.code == 1
    assert "hush" not in examined.output


def test_a_server_whose_redis_has_gone_is_a_warning(examine: Doctor, tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as redis,
        serving(tmp_path, TIDEWIRE_LOG_URL=redis.url) as url,
    ):
        redis.kill()
        until(lambda: httpx.get(f"{url}/api/sse/health").json()["status"] == "degraded")
        examined = examine(url)
    assert examined.named("address.ready")["status"] == "warn"
    assert examined.findings["nodes.log"]["status"] == "skip"
    assert examined.findings["delivery.stream"]["status"] == "pass"


def test_a_redis_that_evicts_is_named(examine: Doctor, tmp_path: Path) -> None:
    evicts = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]
    with redis_server(tmp_path, options=evicts) as redis:
        found = examine(TIDEWIRE_LOG_URL=redis.url).named("redis.eviction")
    assert "noeviction" in found["mend"]


def test_a_log_of_another_name_is_named(examine: Doctor, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.command("HSET", "{shop}:meta", "head", "1")
        found = examine(TIDEWIRE_LOG_URL=redis.url, TIDEWIRE_LOG_NAME="shpo").named("redis.names")
    assert "shop" in found["reason"]


# Settings


def test_a_name_with_a_typing_error_is_named(examine: Doctor) -> None:
    found = examine(TIDEWIRE_PING_INTERVALL="15").named("settings.names")
    assert "TIDEWIRE_PING_INTERVAL?" in found["reason"]


def test_a_secret_that_is_too_short_is_named(examine: Doctor) -> None:
    found = examine(SSE_JWT_SECRET="brief").named("settings.secrets")
    assert "5 bytes" in found["reason"]
    assert "openssl rand" in found["mend"]


def test_several_processes_with_a_log_in_memory_are_named(examine: Doctor) -> None:
    examine(WEB_CONCURRENCY="4").named("settings.workers")
    examine("--workers", "2").named("settings.workers")


@pytest.mark.parametrize(
    "settings",
    [
        {"TIDEWIRE_PING_INTERVAL": "often"},
        {"TIDEWIRE_RATE_LIMITS": "connect=lots"},
        {"TIDEWIRE_CORS_ORIGINS": "app.example.com"},
        {"TIDEWIRE_TRUSTED_PROXIES": "the-proxy"},
        {"TIDEWIRE_LOG_URL": "mysql://127.0.0.1"},
        {"TIDEWIRE_CLAIMS": "rolls=x"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_value_that_is_not_of_its_form_is_named(
    examine: Doctor, settings: dict[str, str]
) -> None:
    found = examine(**settings).named("settings.values")
    assert next(iter(settings)) in found["reason"]


def test_settings_that_contradict_each_other_are_named(examine: Doctor) -> None:
    found = examine(
        TIDEWIRE_PING_INTERVAL="120",
        TIDEWIRE_JWT_ISSUER="https://issuer.example",
        NEXTAUTH_URL=PAGE,
        TIDEWIRE_CORS_ORIGINS="https://other.example.com",
    ).named("settings.agreement")
    assert found["measured"]["count"] == 3


def test_more_connections_than_files_are_named(examine: Doctor) -> None:
    examine(TIDEWIRE_MAX_CONNECTIONS="100000000").named("settings.files")


def test_what_the_server_would_refuse_is_what_is_named(tmp_path: Path, examine: Doctor) -> None:
    # The same settings, asked of the server itself.
    for settings in ({"SSE_JWT_SECRET": "brief"}, {"TIDEWIRE_RATE_LIMITS": "connect=lots"}):
        env = {**examine.env, **settings}
        command = [COMMAND, "serve", "--port", "0"]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 2
        assert examine(**settings).code == 1
