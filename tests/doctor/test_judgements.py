"""What is said of what was seen, where it would take too long to set it up."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tidewire.serve.doctor import (
    clocks,
    environment,
    handshake,
    limits,
    mends,
    nodes,
    store,
    streams,
)
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.blocks import Block, Blocks
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.finding import HIDDEN, failed
from tidewire.serve.doctor.handshake import DAY, Handshake
from tidewire.serve.doctor.store import Store
from tidewire.serve.doctor.streams import Streams
from tidewire.serve.doctor.wire import Answer, Watch

NOW = 1_800_000_000.0


def answer(
    headers: Mapping[str, str] | None = None, *, status: int = 200, body: Any = None
) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    return Answer("/api/sse", status, httpx.Headers(headers), content, 0.01, NOW)


# Certificates


@pytest.mark.parametrize(
    ("lifetime", "left", "status"),
    [
        (90, 30, "pass"),
        (90, 16, "pass"),
        (90, 14, "warn"),
        (90, 2, "fail"),
        (365, 22, "pass"),
        (365, 20, "warn"),
        # Those of six days are renewed when two are left.
        (6, 2, "pass"),
        (6, 0.9, "fail"),
        (90, -1, "fail"),
    ],
)
def test_a_certificate_is_judged_by_when_it_should_have_been_renewed(
    lifetime: float, left: float, status: str
) -> None:
    ends = NOW + left * DAY
    seen = Handshake("h2", ends - lifetime * DAY, ends)
    assert handshake.judge_certificate(seen, NOW).status == status


def test_without_http_2_there_is_a_warning_but_not_on_ones_own_machine() -> None:
    address = Address.of("https://events.example.com")
    assert handshake.judge_protocol(Handshake("h2", 0, 1), address).status == "pass"
    assert handshake.judge_protocol(Handshake("http/1.1", 0, 1), address).status == "warn"
    assert handshake.judge_protocol(Handshake(None, 0, 1), address).status == "warn"
    plain = Address.of("http://events.example.com")
    assert handshake.judge_protocol(None, plain).status == "warn"
    assert handshake.judge_protocol(None, Address.of("http://localhost:8000")).status == "pass"


# Addresses


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://events.example.com/", "https://events.example.com"),
        ("https://EVENTS.example.com:443/live/", "https://events.example.com/live"),
        ("https://events.example.com/live/api/sse?token=x", "https://events.example.com/live"),
        ("http://[::1]:8000/api/realtime/sse", "http://[::1]:8000"),
    ],
)
def test_an_address_may_be_that_of_the_stream(text: str, base: str) -> None:
    assert Address.of(text).base == base


def test_neither_an_address_nor_a_credential_shows_its_token() -> None:
    assert "hush" not in repr(Address.of("https://events.example.com?token=hush"))
    assert "hush" not in repr(Credential("header", "hush"))


def test_secrets_are_taken_out_of_all_that_is_told() -> None:
    found = failed("auth.token", "no hush", "say hush", {"said": ["hush", {"x": "a hush b"}]})
    shown = found.without(frozenset({"hush"})).as_json()
    assert "hush" not in json.dumps(shown)
    assert shown["measured"]["said"][1]["x"] == f"a {HIDDEN} b"


# Clocks


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "pass"), (-4, "pass"), (8, "warn"), (-59, "warn"), (62, "fail")]
)
def test_clocks_may_be_as_far_apart_as_the_server_lets_pass(ahead: float, status: str) -> None:
    told = answer(body={"timestamp": round((NOW + ahead) * 1000)})
    [server, _] = clocks.judge(clocks.read([told]), None, NOW)
    assert server.status == status


def test_the_clock_of_a_proxy_is_told_apart_from_that_of_the_server() -> None:
    # The header says 2027-01-15 08:10:00; NOW is 08:00:00.
    date = "Fri, 15 Jan 2027 08:10:00 GMT"
    told = answer({"date": date}, body={"timestamp": round(NOW * 1000)})
    [server, _] = clocks.judge(clocks.read([told]), None, NOW)
    assert server.status == "warn"
    assert "a proxy writes" in server.reason


def test_the_quickest_answer_says_best_what_time_it_is() -> None:
    slow = Answer("/", 200, httpx.Headers(), b'{"timestamp": 0}', 3.0, NOW)
    quick = answer(body={"timestamp": round(NOW * 1000)})
    assert clocks.read([slow, quick]).server == 0


# Streams


def watch(
    *blocks: Block, ended: float | None = None, waited: float = 40, cache_control: str = ""
) -> Watch:
    began = answer(
        {"content-type": "text/event-stream; charset=utf-8", "cache-control": cache_control}
    )
    first = blocks[0].after if blocks else None
    return Watch(began, blocks, first, ended, waited, None)


def connected(interval: float = 30, after: float = 0.1) -> Block:
    data = {"serverInfo": {"pingInterval": interval * 1000}}
    return Block("connected", "1-0-abcd", {"data": data}, after)


def ping(after: float) -> Block:
    return Block("ping", None, {}, after)


def status_of(plain: Watch, *, timeout: float = 45) -> dict[str, str]:
    seen = Streams(plain, watch(connected()), 10, timeout, 0.01)
    return {finding.check: finding.status for finding in streams.judge(seen)}


def test_a_ping_interval_that_proxies_do_not_wait_for_is_a_warning() -> None:
    assert status_of(watch(connected(30), ping(30.2)))["stream.idle"] == "pass"
    assert status_of(watch(connected(60), ping(60.2)), timeout=90)["stream.idle"] == "warn"


def test_a_ping_that_does_not_come_is_a_failure_and_a_cut_is_another() -> None:
    held = status_of(watch(connected(30), waited=36))
    assert (held["stream.ping"], held["stream.idle"]) == ("fail", "skip")
    cut = status_of(watch(connected(30), ended=15))
    assert (cut["stream.ping"], cut["stream.idle"]) == ("skip", "fail")


def test_a_server_that_goes_down_is_no_time_out() -> None:
    went = status_of(watch(connected(), Block("disconnecting", None, {}, 3), ended=3))
    assert (went["stream.ping"], went["stream.idle"]) == ("skip", "skip")


def test_a_head_without_a_body_is_held_back_too() -> None:
    assert status_of(watch(waited=10))["stream.buffering"] == "fail"


def test_what_comes_late_is_a_warning() -> None:
    assert status_of(watch(connected(after=4), ping(34)))["stream.buffering"] == "warn"


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("no-store, no-transform", "pass"),
        ("no-cache, no-transform", "pass"),
        ("no-store", "warn"),
        ("public, max-age=60", "fail"),
        ("", "fail"),
    ],
)
def test_a_cache_may_not_keep_streams(told: str, status: str) -> None:
    plain = watch(connected(), ping(30), cache_control=told)
    assert status_of(plain)["stream.headers"] == status


def test_blocks_are_read_in_any_pieces_compressed_or_not() -> None:
    text = b'event: ping\ndata: {"a":1}\nid: 1-2-abcd\n\n: comment\n\ndata: x\r\n\r\n'
    for coding, data in (("", text), ("gzip", gzip.compress(text))):
        parser = Blocks(coding)
        read = [block for at in range(len(data)) for block in parser.feed(data[at : at + 1], at)]
        assert [(block.event, block.cursor) for block in read] == [
            ("ping", "1-2-abcd"),
            ("message", None),
        ]
        assert read[0].envelope == {"a": 1}
        assert read[1].envelope == {}


# Rates


def test_a_rate_of_which_little_is_left_is_a_warning() -> None:
    def left(number: int) -> Answer:
        return answer({"ratelimit-limit": "60", "ratelimit-remaining": str(number)})

    assert limits.judge([left(50), left(12)]).status == "pass"
    assert limits.judge([left(50), left(11)]).status == "warn"
    assert limits.judge([answer()]).status == "pass"
    assert limits.judge([]).status == "skip"


def test_who_refuses_is_told_from_the_answer() -> None:
    ours = answer({"retry-after": "5"}, status=429, body={"code": "RATE_LIMIT_EXCEEDED"})
    assert limits.judge([ours]).mend == limits.RAISE
    assert limits.judge([answer(status=429)]).mend == limits.PROXYS
    without = answer(status=429, body={"code": "RATE_LIMIT_EXCEEDED"})
    assert "Retry-After" in limits.judge([without]).reason


# Redis


def redis(**info: str) -> dict[str, str]:
    told = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "maxmemory": "0", **info}
    found = store.judge(
        Store(told, (0.2,) * 10, frozenset({"tidewire"})),
        setting="REDIS_URL",
        where="127.0.0.1:6379",
        name="tidewire",
    )
    return {finding.check: finding.status for finding in found if finding.status != "pass"}


def test_what_redis_must_be() -> None:
    assert redis() == {}
    assert redis(redis_version="6.0.16") == {"redis.version": "fail"}
    assert redis(redis_version="6.2.0") == {}
    assert redis(redis_version="7.2.4", valkey_version="8.0.1") == {}
    assert redis(maxmemory_policy="allkeys-lru") == {"redis.eviction": "warn"}
    assert redis(maxmemory_policy="volatile-ttl", maxmemory="1000") == {"redis.eviction": "fail"}
    assert redis(dragonfly_version="df-v1.20", cache_mode="cache") == {"redis.eviction": "fail"}
    assert redis(aof_enabled="1") == {}


def test_a_slow_redis_is_a_warning() -> None:
    seen = Store({"redis_version": "7.2.4"}, (25.0,) * 10, frozenset())
    found = store.judge(seen, setting="REDIS_URL", where="far.example:6379", name="tidewire")
    assert [one.check for one in found if one.status == "warn"] == ["redis.latency"]


# Nodes


def test_while_redis_is_away_each_node_has_a_spool_and_that_is_no_fault() -> None:
    seen = nodes.Nodes(frozenset({"aaaa", "bbbb"}), 12)
    [log, _] = nodes.judge(seen, None, degraded=True)
    assert log.status == "skip"


def test_nodes_of_different_versions_are_a_warning() -> None:
    figures = {"a": {"version": "1.0.0"}, "b": {"version": "1.1.0"}}
    [_, version] = nodes.judge(nodes.Nodes(frozenset({"aaaa"}), 12, figures), None, degraded=False)
    assert version.status == "warn"
    assert "1.0.0, 1.1.0" in version.reason


# Settings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDEWIRE_JWT_SECRET", "SSE_JWT_SECRET"),
        ("TIDEWIRE_LOGURL", "TIDEWIRE_LOG_URL"),
        ("TIDEWIRE_CORS_ORIGIN", "TIDEWIRE_CORS_ORIGINS"),
        ("TIDEWIRE_DRAIN_SECOND", "TIDEWIRE_DRAIN_SECONDS"),
        ("SSE_JWT_SECRETS", "SSE_JWT_SECRET"),
        ("NEXTAUTH_SECERT", "NEXTAUTH_SECRET"),
        ("redis_url", "REDIS_URL"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_one_that_is_meant(name: str, meant: str) -> None:
    found = environment.examine({name: "x"}, workers=None, has_url=False)
    [names] = [one for one in found if one.check == "settings.names"]
    assert names.status == "fail"
    assert f"meant is {meant}?" in names.reason


@pytest.mark.parametrize("name", ["AUTH_SECRET", "NEXTAUTH_URL_INTERNAL", "PATH", "REDIS_HOST"])
def test_what_others_are_set_by_is_no_misspelling(name: str) -> None:
    found = environment.examine({name: "x"}, workers=None, has_url=False)
    [names] = [one for one in found if one.check == "settings.names"]
    assert names.status == "pass"


def test_a_name_that_resembles_none_is_only_a_warning() -> None:
    found = environment.examine({"TIDEWIRE_X": "x"}, workers=None, has_url=False)
    [names] = [one for one in found if one.check == "settings.names"]
    assert names.status == "warn"


def test_lines_to_copy_fit_into_80_columns() -> None:
    texts = [text for name, text in vars(mends).items() if name.isupper()]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("    ")]
    assert lines
    assert max(map(len, lines)) <= 72
