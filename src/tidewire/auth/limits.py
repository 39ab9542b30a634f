"""How often: named rates, by the `limits` library, in memory or in a Redis that nodes share.

The windows move with every hit, so a rate holds within any minute, not only within those of
the clock. What was refused does not count.
"""

import asyncio
import hashlib
import json
import math
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

import limits
from limits.aio.storage import MovingWindowSupport, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError, RateLimited
from tidewire.core.journal import Journal

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

Result = TypeVar("Result")
Rates = Mapping[str, limits.RateLimitItem]

SETTING: Final = "TIDEWIRE_RATE_LIMITS"
REDIS_SETTING: Final = "RATE_LIMIT_REDIS_URL"

DEFAULTS: Final = {
    "connect": "60/minute",
    "resume": "240/minute",
    "poll": "120/minute",
    "auth": "30/minute",
    "publish": "6000/minute",
    "token": "60/minute",
}
"""The rates that there are. ``connect``, ``resume``, ``publish`` and ``token`` are a user's,
``poll`` is an instance's, ``auth`` is what one client address may get wrong."""

MAX_AMOUNT: Final = 100_000
MAX_SECONDS: Final = 86_400

INSTANCES: Final = 10
"""A client names its instances itself. All instances of one user may poll this many times as
often as one of them, so that new names are no way around the rate."""

BURST: Final = 200
"""An address that fails this many times more often than it may is not listened to at all."""

MAX_KEYS: Final = 100_000
MAX_HITS: Final = 1_000_000
"""What one node remembers at most, about 30 MB; beyond it, it forgets whom it has not seen for
longest."""

REDIS_SECONDS: Final = 0.5
REDIS_REST_SECONDS: Final = 5.0
"""How long Redis may take to answer, and how long it is left alone where it has not."""

REDIS_CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a rate said.

    Attributes:
        granted: whether this one was within the rate.
        limit: how many there may be in the time of the rate.
        remaining: how many there may still be now.
        reset: milliseconds until there may be one more than now.
        period: the time of the rate, seconds.
    """

    granted: bool
    limit: int
    remaining: int
    reset: int
    period: int

    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-06, the last that has them apart;
        what client code reads."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(math.ceil(self.reset / 1000)),
        }

    def refuse(self, what: str) -> NoReturn:
        """Tells that there was too much of something.

        Raises:
            RateLimited: always, with the time to wait.
        """
        raise RateLimited(
            f"More than {self.limit} {what} in {self.period} s. "
            f"Wait {math.ceil(self.reset / 1000)} s before the next.",
            retry_after=self.reset,
        )


def parse_rates(text: str) -> dict[str, limits.RateLimitItem]:
    """The rates that a setting names, such as ``connect=60/minute,poll=off``; those that it
    does not name are as in `DEFAULTS`. Empty for ``off``.

    Raises:
        ConfigurationError: not of this form.
    """
    if text.strip() == "off":
        return {}
    told = dict(DEFAULTS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, rate = (piece.strip() for piece in part.partition("="))
        if not equals or name not in DEFAULTS:
            raise ConfigurationError(
                f"{SETTING}: {part!r} is not a rate. It is 'off', or a list such as "
                f"'connect=60/minute,poll=off' of {', '.join(DEFAULTS)}."
            )
        told[name] = rate
    return {name: _parse_rate(name, rate) for name, rate in told.items() if rate != "off"}


def _parse_rate(name: str, text: str) -> limits.RateLimitItem:
    try:
        # In the library's own notation there may be several, divided by semicolons.
        (item,) = limits.parse_many(text)
    except ValueError:
        item = None
    if item is None or not 0 < item.amount <= MAX_AMOUNT or item.get_expiry() > MAX_SECONDS:
        raise ConfigurationError(
            f"{SETTING}: {name}={text!r} is not a rate. Give a number from 1 to {MAX_AMOUNT} and "
            "a time of at most a day, such as '60/minute' or '5/10 seconds', or 'off'."
        )
    # Each rate counts apart from the others, also where they allow the same.
    item.namespace = name
    return item


class RateLimits:
    """Counts hits against rates: in Redis where there is one that answers, else in memory."""

    def __init__(
        self, rates: Rates, *, clock: Clock, journal: Journal, redis_url: str | None = None
    ) -> None:
        """Takes the rates of `parse_rates`. Nothing is connected before the first hit.

        Raises:
            ConfigurationError: ``redis_url`` is no address of a Redis.
        """
        self._rates = rates
        self._clock = clock
        self._journal = journal
        self._redis_url = redis_url
        self._here = _Windows(MovingWindowRateLimiter(MovingWindows(clock)), clock.monotonic)
        self._shared = self._connect()
        self._opened = False
        self._away = False
        self._try_at = 0.0

    async def hit(self, name: str, *key: str) -> Allowance | None:
        """Counts one hit by whoever the key names; None if there is no such rate."""
        item = self._rates.get(name)
        if item is None:
            return None
        return await self._ask(lambda windows: windows.hit(item, _hashed(key)))

    async def hit_poll(self, user_id: str, instance_id: str | None) -> Allowance | None:
        """Counts a poll by an instance, and by its user: see `INSTANCES`."""
        allowance = await self.hit("poll", user_id, instance_id or "")
        if allowance is None or not allowance.granted or not instance_id:
            return allowance
        of_all = _multiplied(self._rates["poll"], INSTANCES)
        total = await self._ask(lambda windows: windows.hit(of_all, _hashed((user_id,))))
        return allowance if total.granted else total

    async def hit_failure(self, address: str, *, was_good: bool) -> Allowance | None:
        """Counts a failed authentication by a client address. One whose credential was good
        once counts only for `check_burst`: where many people share an address their credentials
        may well end together."""
        item = self._rates.get("auth")
        if item is None:
            return None
        await self._here.limiter.hit(_multiplied(item, BURST), _hashed((address,)))
        return None if was_good else await self.hit("auth", address)

    async def check_burst(self, address: str) -> Allowance | None:
        """What is left to an address that fails by far too often: see `BURST`. Only this node
        is asked, so this costs next to nothing for those who do not fail."""
        item = self._rates.get("auth")
        if item is None:
            return None
        return await self._here.peek(_multiplied(item, BURST), _hashed((address,)))

    async def close(self) -> None:
        """Closes the connections to Redis; the next hit would make new ones."""
        shared, self._shared = self._shared, None
        self._opened = False
        if shared is not None and shared.pool is not None:
            await shared.pool.aclose()

    async def _ask(self, call: Callable[["_Windows"], Awaitable[Result]]) -> Result:
        now = self._clock.monotonic()
        if self._redis_url is None or now < self._try_at:
            return await call(self._here)
        if self._away:
            # One request tries; the others need not wait with it.
            self._try_at = now + REDIS_REST_SECONDS
        if self._shared is None:
            self._shared = self._connect()
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                if not self._opened:
                    self._opened = True
                    await _open_all(cast(_Windows, self._shared).pool)
                result = await call(cast(_Windows, self._shared))
        except (StorageError, OSError, TimeoutError) as error:
            if not self._away:
                self._journal.note(
                    "the Redis of the rate limits is away; this node counts alone", error=error
                )
            self._away = True
            self._try_at = now + REDIS_REST_SECONDS
            return await call(self._here)
        if self._away:
            self._away = False
            self._try_at = 0.0
            self._journal.note("the Redis of the rate limits is back")
        return result

    def _connect(self) -> "_Windows | None":
        if self._redis_url is None:
            return None
        # Only here: importing it takes a tenth of a second.
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            pool = BlockingConnectionPool.from_url(
                self._redis_url,
                max_connections=REDIS_CONNECTIONS,
                timeout=REDIS_SECONDS,
                socket_connect_timeout=REDIS_SECONDS,
                # Once more, at once: a Redis that was restarted has closed its connections.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError:
            # Without what it says: a part of the address may be a password.
            raise ConfigurationError(
                f"{REDIS_SETTING} must be redis://, rediss:// or unix:// and where Redis is."
            ) from None
        options = cast(Any, {"connection_pool": pool})
        storage = RedisStorage(
            # The pool knows the address.
            "async+redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="tidewire:limits",
            **options,
        )
        # The library's script takes the time from who calls it.
        return _Windows(MovingWindowRateLimiter(storage), time.time, pool)


@dataclass(frozen=True, slots=True)
class _Windows:
    """A place where hits are counted, and its clock, in seconds."""

    limiter: MovingWindowRateLimiter
    now: Callable[[], float]
    pool: "BlockingConnectionPool | None" = None

    async def hit(self, item: limits.RateLimitItem, key: str) -> Allowance:
        granted = await self.limiter.hit(item, key)
        return await self._allowance(item, key, granted)

    async def peek(self, item: limits.RateLimitItem, key: str) -> Allowance:
        return await self._allowance(item, key, await self.limiter.test(item, key))

    async def _allowance(self, item: limits.RateLimitItem, key: str, granted: bool) -> Allowance:
        stats = await self.limiter.get_window_stats(item, key)
        # To whom was refused it is said to wait, also if a hit has just fallen out.
        reset = max(1, math.ceil((stats.reset_time - self.now()) * 1000))
        remaining = max(0, stats.remaining) if granted else 0
        return Allowance(granted, item.amount, remaining, reset, item.get_expiry())


async def _open_all(pool: "BlockingConnectionPool | None") -> None:
    """Connects as often as the pool ever will: how many connections a Redis sees does not depend
    on how many clients there are."""
    if pool is None:
        return
    asked = [pool.get_connection() for _ in range(REDIS_CONNECTIONS)]  # type: ignore[no-untyped-call]
    for made in await asyncio.gather(*asked, return_exceptions=True):
        if not isinstance(made, BaseException):
            await pool.release(made)


class MovingWindows(Storage, MovingWindowSupport):
    """Times of hits in memory, for the `limits` library.

    Its own storage walks through all keys, by way of threads, at each hit, and has no bound.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, *, max_keys: int = MAX_KEYS, max_hits: int = MAX_HITS) -> None:
        super().__init__()
        self._clock = clock
        self._max_keys = max_keys
        self._max_hits = max_hits
        self._windows: OrderedDict[str, array[float]] = OrderedDict()
        self._hits = 0

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts ``amount`` hits, all or none."""
        window = self._current(key, expiry)
        if len(window) + amount > limit:
            return False
        window.extend([self._clock.monotonic()] * amount)
        self._hits += amount
        while len(self._windows) > self._max_keys or (
            self._hits > self._max_hits and len(self._windows) > 1
        ):
            _, forgotten = self._windows.popitem(last=False)
            self._hits -= len(forgotten)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest hit in the window was, and how many there are."""
        if key not in self._windows:
            return self._clock.monotonic(), 0
        window = self._current(key, expiry)
        return (window[0] if window else self._clock.monotonic()), len(window)

    def _current(self, key: str, expiry: int) -> "array[float]":
        window = self._windows.setdefault(key, array("d"))
        self._windows.move_to_end(key)
        over = bisect_right(window, self._clock.monotonic() - expiry)
        del window[:over]
        self._hits -= over
        return window

    async def clear(self, key: str) -> None:
        self._hits -= len(self._windows.pop(key, ()))

    async def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        self._hits = 0
        return count

    async def check(self) -> bool:
        return True

    # Fixed windows, which are not used here.

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    async def get(self, key: str) -> int:
        raise NotImplementedError

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError


def _hashed(key: tuple[str, ...]) -> str:
    # Of one length whatever a client sends, and never the same for two keys.
    return hashlib.blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()


def _multiplied(item: limits.RateLimitItem, factor: int) -> limits.RateLimitItem:
    return type(item)(item.amount * factor, item.multiples, f"{item.namespace}-of-all")
