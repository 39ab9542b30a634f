"""How often: named rates, counted in memory, or by the `limits` library in a Redis that nodes
share.

The windows move with every hit, so a rate holds within any minute, not only within those of
the clock. What was refused does not count.
"""

import asyncio
import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tidewire.auth.windows import Allowance, MovingWindow
from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError
from tidewire.core.journal import Journal

# The library only where a rate is written in its own way, or Redis counts: to import it takes as
# long as to make the application.
if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import MovingWindowRateLimiter
    from redis.asyncio import BlockingConnectionPool

SETTING: Final = "TIDEWIRE_RATE_LIMITS"
REDIS_SETTING: Final = "RATE_LIMIT_REDIS_URL"

MINUTE: Final = 60
_PLAIN: Final = re.compile(r"([0-9]{1,6})/minute")
"""As all defaults are written."""


class Rate(NamedTuple):
    """At most ``amount`` hits in any ``seconds``."""

    amount: int
    seconds: int

    def get_expiry(self) -> int:
        """The seconds, by the library's name for them."""
        return self.seconds


Rates = Mapping[str, Rate]

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

OF_ALL: Final = "-of-all"
"""What is added to the name of a rate for the one that is a multiple of it."""

FORGET_SECONDS: Final = 30.0
"""How often those are looked for whose hits are no longer in their windows."""

REDIS_SECONDS: Final = 0.5
REDIS_REST_SECONDS: Final = 5.0
"""How long Redis may take to answer, and how long it is left alone where it has not."""

REDIS_CONNECTIONS: Final = 4


def parse_rates(text: str) -> dict[str, Rate]:
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


def _parse_rate(name: str, text: str) -> Rate:
    rate = _read_rate(text)
    if rate is None or not 0 < rate.amount <= MAX_AMOUNT or rate.seconds > MAX_SECONDS:
        raise ConfigurationError(
            f"{SETTING}: {name}={text!r} is not a rate. Give a number from 1 to {MAX_AMOUNT} and "
            "a time of at most a day, such as '60/minute' or '5/10 seconds', or 'off'."
        )
    return rate


def _read_rate(text: str) -> Rate | None:
    if plain := _PLAIN.fullmatch(text):
        return Rate(int(plain[1]), MINUTE)
    import limits

    try:
        # In the library's own notation there may be several, divided by semicolons.
        (item,) = limits.parse_many(text)
    except ValueError:
        return None
    return Rate(item.amount, item.get_expiry())


class RateLimits:
    """Counts hits against rates: in Redis where there is one that answers, else in memory."""

    def __init__(
        self, rates: Rates, *, clock: Clock, journal: Journal, redis_url: str | None = None
    ) -> None:
        """Takes the rates of `parse_rates`. Nothing is connected before the first hit.

        Raises:
            ConfigurationError: ``redis_url`` is no address of a Redis.
        """
        self._rates = {**rates}
        for name, factor in (("poll", INSTANCES), ("auth", BURST)):
            if name in rates:
                rate = rates[name]
                self._rates[name + OF_ALL] = rate._replace(amount=rate.amount * factor)
        self._here = {
            name: MovingWindow(rate.amount, rate.seconds, clock)
            for name, rate in self._rates.items()
        }
        self._forgetting: asyncio.TimerHandle | None = None
        self._clock = clock
        self._journal = journal
        self._redis_url = redis_url
        self._shared = self._connect()
        self._opened = False
        self._away = False
        self._try_at = 0.0

    @property
    def remembered(self) -> int:
        """How many counters this node holds."""
        return sum(map(len, self._here.values()))

    async def hit(self, name: str, *key: str) -> Allowance | None:
        """Counts one hit by whoever the key names; None if there is no such rate."""
        if name not in self._rates:
            return None
        if self._redis_url is None:
            return self._hit_here(name, key)
        return await self._hit_shared(name, key)

    async def hit_poll(self, user_id: str, instance_id: str | None) -> Allowance | None:
        """Counts a poll by an instance, and by its user: see `INSTANCES`."""
        total = self._here.get("poll" + OF_ALL)
        spent = total.look(user_id) if total is not None and instance_id else None
        if spent is not None and not spent.granted:
            # Before an instance is remembered: there may be any number of them.
            return spent
        allowance = await self.hit("poll", user_id, instance_id or "")
        if allowance is None or not allowance.granted or not instance_id:
            return allowance
        of_all = await self.hit("poll" + OF_ALL, user_id)
        return allowance if of_all is None or of_all.granted else of_all

    async def hit_failure(self, address: str, *, was_good: bool) -> Allowance | None:
        """Counts a failed authentication by a client address. One whose credential was good
        once counts only for `check_burst`: where many people share an address their credentials
        may well end together."""
        if "auth" not in self._rates:
            return None
        self._hit_here("auth" + OF_ALL, (address,))
        return None if was_good else await self.hit("auth", address)

    def check_burst(self, address: str) -> Allowance | None:
        """What is left to an address that fails by far too often: see `BURST`; None if it has
        not failed. Only this node is asked, so this costs next to nothing for those who do not
        fail."""
        window = self._here.get("auth" + OF_ALL)
        return None if window is None else window.look(address)

    async def close(self) -> None:
        """Closes the connections to Redis; the next hit would make new ones."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        shared, self._shared = self._shared, None
        self._opened = False
        if shared is not None:
            await shared.pool.aclose()

    def _hit_here(self, name: str, key: tuple[str, ...]) -> Allowance:
        if self._forgetting is None:
            self._forget_later()
        return self._here[name].hit(*key)

    def _forget_later(self) -> None:
        self._forgetting = asyncio.get_running_loop().call_later(FORGET_SECONDS, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        for window in self._here.values():
            window.forget()
        if self.remembered:
            self._forget_later()

    async def _hit_shared(self, name: str, key: tuple[str, ...]) -> Allowance:
        now = self._clock.monotonic()
        if now < self._try_at:
            return self._hit_here(name, key)
        if self._away:
            # One request tries; the others need not wait with it.
            self._try_at = now + REDIS_REST_SECONDS
        if self._shared is None:
            self._shared = self._connect()
        shared = cast(_Shared, self._shared)
        from limits.errors import StorageError

        try:
            async with asyncio.timeout(REDIS_SECONDS):
                if not self._opened:
                    self._opened = True
                    await shared.open_all()
                allowance = await shared.hit(name, _hashed(key))
        except (StorageError, OSError, TimeoutError) as error:
            if not self._away:
                self._journal.note(
                    "the Redis of the rate limits is away; this node counts alone",
                    error=error,
                    code="LIMITS_AWAY",
                    next_try=round(REDIS_REST_SECONDS * 1000),
                )
            self._away = True
            self._try_at = now + REDIS_REST_SECONDS
            return self._hit_here(name, key)
        if self._away:
            self._away = False
            self._try_at = 0.0
            self._journal.note("the Redis of the rate limits is back", recovered=["LIMITS_AWAY"])
        return allowance

    def _connect(self) -> "_Shared | None":
        if self._redis_url is None:
            return None
        # Only here: importing them takes a tenth of a second.
        from limits import RateLimitItemPerSecond
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import MovingWindowRateLimiter
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
        # By their names, so that each rate counts apart from the others, also where they allow
        # the same.
        items = {
            name: RateLimitItemPerSecond(rate.amount, rate.seconds, name)
            for name, rate in self._rates.items()
        }
        return _Shared(items, MovingWindowRateLimiter(storage), pool)


class _Shared(NamedTuple):
    """Hits that are counted in Redis, by the library."""

    items: Mapping[str, "RateLimitItem"]
    limiter: "MovingWindowRateLimiter"
    pool: "BlockingConnectionPool"

    async def hit(self, name: str, key: str) -> Allowance:
        item = self.items[name]
        granted = await self.limiter.hit(item, key)
        stats = await self.limiter.get_window_stats(item, key)
        # The library's script takes the time from who calls it. To whom was refused it is said
        # to wait, also if a hit has just fallen out.
        reset = max(1, math.ceil((stats.reset_time - time.time()) * 1000))
        remaining = max(0, stats.remaining) if granted else 0
        return Allowance(granted, item.amount, remaining, reset, item.get_expiry())

    async def open_all(self) -> None:
        """Connects as often as the pool ever will: how many connections a Redis sees does not
        depend on how many clients there are."""
        asked = [self.pool.get_connection() for _ in range(REDIS_CONNECTIONS)]  # type: ignore[no-untyped-call]
        for made in await asyncio.gather(*asked, return_exceptions=True):
            if not isinstance(made, BaseException):
                await self.pool.release(made)


def _hashed(key: tuple[str, ...]) -> str:
    # Of one length whatever a client sends, and never the same for two keys.
    return hashlib.blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()
