"""Whether the Redis of the log is one that a log can live in."""

import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from tidewire.core.errors import ConfigurationError, LogAway
from tidewire.http.settings import Settings
from tidewire.logs import is_shared
from tidewire.logs.link import Connector, Link, connector
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned

REACHED: Final = "redis.reached"
VERSION: Final = "redis.version"
EVICTION: Final = "redis.eviction"
PERSISTENCE: Final = "redis.persistence"
LATENCY: Final = "redis.latency"
NAMES: Final = "redis.names"
RATES: Final = "redis.rates"
ALL: Final = (REACHED, VERSION, EVICTION, PERSISTENCE, LATENCY, NAMES)

OLDEST: Final = (6, 2)
PINGS: Final = 10
SLOW_MS: Final = 20.0
SCANS: Final = 20
"""Times that the keys are asked for, a thousand at a time: more would be felt."""

SPEAKS_THE_SAME: Final = {"valkey": "redis", "valkeys": "rediss", "dragonfly": "redis"}
META: Final = re.compile(r"\{(.+)\}:meta")


@dataclass(frozen=True, slots=True)
class Store:
    """What a Redis says of itself.

    Attributes:
        info: of its command INFO.
        pings_ms: how long it took to answer nothing, milliseconds.
        names: of the logs in it; as many as were found in time.
        complete: whether all keys were looked at.
        failure: why it said nothing.
    """

    info: Mapping[str, str] = field(default_factory=dict)
    pings_ms: tuple[float, ...] = ()
    names: frozenset[str] = frozenset()
    complete: bool = True
    failure: str | None = None


async def ask(url: str) -> Store:
    """Asks the Redis at an address of a log.

    Raises:
        ConfigurationError: it is no such address.
    """
    made = _connector(url)
    link = Link(made)
    try:
        info = _info(await link.call("INFO"))
        pings = []
        for _ in range(PINGS):
            began = time.perf_counter()
            await link.call("PING")
            pings.append((time.perf_counter() - began) * 1000)
        if "maxmemory_policy" not in info:
            info |= await _policy(link)
        names, complete = await _names(link)
        return Store(info, tuple(pings), names, complete)
    except LogAway as error:
        return Store(failure=error.detail)
    finally:
        await link.close()
        await made.close()


async def examine(settings: Settings | None) -> list[Finding]:
    """All checks of Redis, as far as there is one."""
    if settings is None:
        return [skipped(name, "The settings cannot be read.") for name in (*ALL, RATES)]
    return [*await _log(settings), await _rates(settings)]


async def _log(settings: Settings) -> list[Finding]:
    try:
        if not is_shared(settings.log_address):
            return [skipped(name, "The log is in memory.") for name in ALL]
        store = await ask(settings.log_address)
    except ConfigurationError as error:
        return [skipped(name, f"There is no address to ask. {error.detail}") for name in ALL]
    return judge(
        store,
        setting=_setting(settings),
        where=_where(settings.log_address),
        name=settings.log_name,
    )


async def _rates(settings: Settings) -> Finding:
    if settings.rate_limit_redis_url is None:
        return skipped(
            RATES, "RATE_LIMIT_REDIS_URL is not set: each process counts rates for itself."
        )
    url = settings.rate_limit_redis_url.get_secret_value()
    try:
        store = await ask(url)
    except ConfigurationError:
        return skipped(RATES, "RATE_LIMIT_REDIS_URL is no address: see settings.values.")
    if store.failure is not None:
        return failed(
            RATES,
            f"The Redis of the rates, at {_where(url)}, does not answer: {store.failure}. Each "
            "process counts for itself.",
            "Start it, or mend RATE_LIMIT_REDIS_URL.",
        )
    return passed(RATES, f"The Redis of the rates, at {_where(url)}, answers.")


def judge(store: Store, *, setting: str, where: str, name: str) -> list[Finding]:
    """The Redis of a log.

    Args:
        store: what it says.
        setting: the variable that names it.
        where: its host and port.
        name: of the log.
    """
    if store.failure is not None:
        reached = failed(
            REACHED,
            f"{setting} leads to {where}, and there is no answer: {store.failure}.",
            "Start Redis; look at host, port, password, firewall, and at `bind` and "
            '`protected-mode` in its configuration. `redis-cli -u "$'
            f'{setting}" ping` must say PONG.',
        )
        return [reached, *(skipped(check, f"See {REACHED}.") for check in ALL[1:])]
    return [
        passed(REACHED, f"{setting} leads to {where}, which answers."),
        _version(store.info),
        _eviction(store.info),
        _persistence(store.info),
        _latency(store.pings_ms),
        _shared_names(store, name),
    ]


def _version(info: Mapping[str, str]) -> Finding:
    for kind in ("dragonfly", "valkey"):
        if (told := info.get(f"{kind}_version")) is not None:
            measured = {"kind": kind, "version": told}
            return passed(VERSION, f"It is {kind.capitalize()} {told}.", measured)
    told = info.get("redis_version", "")
    measured = {"kind": "redis", "version": told}
    numbers = tuple(int(part) for part in told.split(".")[:2] if part.isdigit())
    if len(numbers) < 2:
        return skipped(VERSION, "It does not say its version.")
    if numbers < OLDEST:
        return failed(VERSION, f"It is Redis {told}.", "Use 6.2 or newer.", measured)
    return passed(VERSION, f"It is Redis {told}.", measured)


def _eviction(info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy")
    limit = info.get("maxmemory", "0")
    mend = (
        "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf. A cache "
        "that may evict belongs into another Redis."
    )
    if info.get("cache_mode") == "cache":
        return failed(EVICTION, "Dragonfly evicts: it runs with --cache_mode.", "Run it without.")
    if policy is None:
        if "dragonfly_version" in info:
            return passed(EVICTION, "It does not evict.")
        return skipped(EVICTION, "It does not say whether it evicts.", mend)
    measured = {"policy": policy, "maxmemory": int(limit) if limit.isdigit() else None}
    if policy == "noeviction":
        return passed(EVICTION, "It does not evict (noeviction).", measured)
    if limit == "0":
        return warned(
            EVICTION,
            f"maxmemory-policy is {policy}: as soon as maxmemory is set, the log may be evicted.",
            mend,
            measured,
        )
    return failed(
        EVICTION,
        f"maxmemory-policy is {policy}, with maxmemory {int(limit):,} bytes: it may evict the log, "
        "or the keys by which a repeated publish is known.",
        mend,
        measured,
    )


def _persistence(info: Mapping[str, str]) -> Finding:
    aof = info.get("aof_enabled") == "1"
    saved = int(info.get("rdb_last_save_time", "0") or 0)
    measured = {"appendOnly": aof, "lastSaved": saved or None}
    if aof:
        return passed(
            PERSISTENCE,
            "It keeps an append-only file: after a crash all is there but, with `everysec`, the "
            "last second.",
            measured,
        )
    return passed(
        PERSISTENCE,
        "It keeps no append-only file: what came since its last snapshot is lost with it, and "
        "readers are told so by a gap. If that is too much: appendonly yes.",
        measured,
    )


def _latency(pings_ms: tuple[float, ...]) -> Finding:
    middle, worst = statistics.median(pings_ms), max(pings_ms)
    measured = {"medianMs": round(middle, 2), "maxMs": round(worst, 2)}
    reason = (
        f"It answers within {middle:.2f} ms (median of {len(pings_ms)}; the slowest {worst:.2f})"
    )
    if middle > SLOW_MS:
        return warned(
            LATENCY,
            f"{reason}. Every publish waits for that.",
            "Put it near the servers, into the same data centre. `redis-cli --latency` and SLOWLOG "
            "tell more.",
            measured,
        )
    return passed(LATENCY, f"{reason}.", measured)


def _shared_names(store: Store, name: str) -> Finding:
    names = sorted(store.names)
    measured = {"here": name, "found": names, "complete": store.complete}
    if name in store.names and len(names) > 1:
        return passed(
            NAMES, f"It holds several logs: {', '.join(names)}; this is {name}.", measured
        )
    if name in store.names or not names:
        there = "is there" if names else "is not there yet"
        return passed(NAMES, f"The log {name} {there}, and no other.", measured)
    return warned(
        NAMES,
        f"It holds {', '.join(names)}, and not {name}, which is the name here. Servers of "
        "different names do not hear each other.",
        "Set the same TIDEWIRE_LOG_NAME on all servers of one application.",
        measured,
    )


def _connector(url: str) -> Connector:
    scheme, colon, rest = url.partition(":")
    return connector(SPEAKS_THE_SAME.get(scheme, scheme) + colon + rest)


def _info(answer: Any) -> dict[str, str]:
    pairs = (line.partition(":") for line in _text(answer).splitlines())
    return {name: value for name, colon, value in pairs if colon}


async def _policy(link: Link) -> dict[str, str]:
    try:
        answer = await link.call("CONFIG", "GET", "maxmemory-policy")
    except LogAway:
        # Not allowed, as by those who rent one out.
        return {}
    return {"maxmemory_policy": _text(answer[1])} if isinstance(answer, list) and answer[1:] else {}


async def _names(link: Link) -> tuple[frozenset[str], bool]:
    found, cursor = set(), "0"
    for _ in range(SCANS):
        answer = await link.call("SCAN", cursor, "MATCH", "{*}:meta", "COUNT", "1000")
        cursor = _text(answer[0])
        for key in answer[1]:
            match = META.fullmatch(_text(key))
            if match is not None:
                found.add(match[1])
        if cursor == "0":
            break
    return frozenset(found), cursor == "0"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _setting(settings: Settings) -> str:
    if settings.log_url is not None:
        return "TIDEWIRE_LOG_URL"
    return "DRAGONFLY_URL" if settings.dragonfly_url is not None else "REDIS_URL"


def _where(url: str) -> str:
    # Never the rest: there may be a password in it.
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
