"""One connection to Redis that makes itself anew.

Each process has a constant number of these, whatever the number of clients. What goes wrong
comes out as `LogAway`, which says whether what was asked for may have been done all the same.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError

from tidewire.core.errors import ConfigurationError, LogAway

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0
"""How long Redis may take to be connected to, and to answer."""

Word: TypeAlias = str | bytes | int

_SENTINEL_PORT: Final = 26379


class Connector:
    """Makes connections to the Redis at an address. One of Sentinel asks, each time, who it is
    now."""

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None = None) -> None:
        self._pool = pool
        self._sentinel = sentinel

    def __call__(self) -> AbstractConnection:
        made: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return made

    async def close(self) -> None:
        """Closes what it keeps of its own; not the connections that it made."""
        if self._sentinel is not None:
            await asyncio.gather(*(one.aclose() for one in self._sentinel.sentinels))


def connector(url: str) -> Connector:
    """For ``redis://``, ``rediss://`` (TLS), ``unix://``, and
    ``redis+sentinel://host:port,host:port/name/database``.

    Raises:
        ConfigurationError: not an address of these forms.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        # The time for an answer is told with each request: a blocking read may take longer.
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
    }
    try:
        if url.partition(":")[0] in ("redis+sentinel", "rediss+sentinel"):
            return _by_sentinel(url, options)
        return Connector(ConnectionPool.from_url(url, **options))
    except ValueError:
        # Without what it says: a part of the address may be a password.
        raise ConfigurationError(
            "The address of the log must be redis://, rediss://, unix:// or "
            "redis+sentinel://host:port,host:port/name, and where Redis is."
        ) from None


def _by_sentinel(url: str, options: dict[str, Any]) -> Connector:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    name, _, database = parts.path.strip("/").partition("/")
    sentinels = []
    for host in hosts.split(","):
        address, _, port = host.partition(":")
        if not address or not name:
            raise ValueError("a sentinel without a host, or no name of a master")
        sentinels.append((address, int(port or _SENTINEL_PORT)))
    # Sentinels that hang must not keep the others from being asked, nor Redis from being reached.
    share = CONNECT_SECONDS / (len(sentinels) + 1)
    asking = {**options, "socket_timeout": share, "socket_connect_timeout": share}
    sentinel = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        name,
        sentinel,
        db=int(database or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        ssl=parts.scheme.startswith("rediss"),
        **options,
    )
    return Connector(pool, sentinel)


# The last is what uvloop raises where something is written to a transport that is closed already.
_BROKEN: Final = (RedisError, OSError, TimeoutError, RuntimeError)


class Link:
    """A connection on which one request is under way at a time."""

    def __init__(self, connect: Callable[[], AbstractConnection], *, repeats: bool = False) -> None:
        """``repeats``: what is asked may be asked twice, where the connection turns out to have
        been cut since it was used last."""
        self._make = connect
        self._repeats = repeats
        self._connection: AbstractConnection | None = None
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()

    async def call(self, *words: Word, seconds: float = ANSWER_SECONDS) -> Any:
        """Sends a command and returns its answer; connects first where that is needed.

        Raises:
            LogAway: Redis cannot be reached, refuses, or is too slow.
        """
        [answer] = await self.calls([words], seconds=seconds)
        if isinstance(answer, LogAway):
            raise answer
        return answer

    async def calls(
        self, commands: Sequence[Sequence[Word]], *, seconds: float = ANSWER_SECONDS
    ) -> list[Any]:
        """Sends several commands in one round trip; an answer may be a `LogAway`.

        Raises:
            LogAway: Redis cannot be reached, or is too slow.
        """
        try:
            # Whoever waits behind one that is not answered does not wait for ever.
            async with asyncio.timeout(seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _away(error, in_doubt=False) from error
        try:
            was_kept = self._connection is not None
            try:
                return await self._ask(commands, seconds)
            except LogAway as error:
                if not (self._repeats and was_kept) or isinstance(error.__cause__, TimeoutError):
                    raise
            return await self._ask(commands, seconds)
        finally:
            self._turn.release()

    async def _ask(self, commands: Sequence[Sequence[Word]], seconds: float) -> list[Any]:
        connection = await self._connected()
        try:
            # Not the library's own time for an answer: it takes a slow one for none.
            async with asyncio.timeout(seconds):
                await connection.send_packed_command(
                    connection.pack_commands(commands), check_health=False
                )
                answers = [await _answer(connection) for _ in commands]
        except _BROKEN as error:
            await self._drop()
            raise _away(error, in_doubt=True) from error
        except BaseException:
            # Left in mid-answer: the next request would read the rest of this one.
            await self._drop()
            raise
        if any(isinstance(answer, LogAway) for answer in answers):
            # Perhaps it was moved, or this is no longer who takes writes: ask for the way.
            await self._drop()
        return answers

    async def _connected(self) -> AbstractConnection:
        if self._ended.is_set():
            raise LogAway("The log is closed.")
        if self._connection is None:
            connection = self._make()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.connect()  # type: ignore[no-untyped-call]
            except _BROKEN as error:
                await _disconnect(connection)
                raise _away(error, in_doubt=False) from error
            except BaseException:
                await _disconnect(connection)
                raise
            if self._ended.is_set():
                await _disconnect(connection)
                raise LogAway("The log is closed.")
            self._connection = connection
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await _disconnect(connection)

    async def close(self) -> None:
        """Closes the connection for good."""
        self._ended.set()
        await self._drop()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except (BusyLoadingError, ResponseError) as error:
        return _away(error, in_doubt=False)


async def _disconnect(connection: AbstractConnection) -> None:
    # Without a farewell: where packets vanish there is nobody to wait for.
    await connection.disconnect(nowait=True)


class Script:
    """A Lua script, called by its hash, and taught to a Redis that does not know it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def run(
        self,
        link: Link,
        keys: Sequence[Word],
        *words: Word,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """Runs it. Raises as `Link.call`."""
        said = (len(keys), *keys, *words)
        try:
            return await link.call("EVALSHA", self._sha, *said, seconds=seconds)
        except LogAway as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await link.call("EVAL", self._source, *said, seconds=seconds)


def _away(error: BaseException, *, in_doubt: bool) -> LogAway:
    kind = type(error).__name__
    # Redis's own words hold neither keys nor values; those of a failed connection, an address.
    said = str(error) if isinstance(error, ResponseError) else ""
    away = LogAway(f"Redis: {kind}{': ' if said else ''}{said}", in_doubt=in_doubt)
    away.__cause__ = error
    return away
