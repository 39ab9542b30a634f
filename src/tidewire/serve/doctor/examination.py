"""The order of the checks: what must be known before what, and what is done meanwhile.

A fault is told once, by the check that is for it. What cannot be seen because of it is skipped,
and says where to look.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tidewire.serve.doctor import (
    authentication,
    catalogue,
    clocks,
    cors,
    delivery,
    endpoint,
    environment,
    handshake,
    limits,
    nodes,
    store,
    streams,
)
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.finding import Finding, failed, skipped
from tidewire.serve.doctor.wire import AS_BROWSERS, NoAnswer, Stream, Wire, connected_to

ASK_SECONDS: Final = 10.0
"""How long a request may take that is no stream."""
QUIET: Final = "tidewire.doctor.quiet"
"""A type of which there is never an event: only pings come."""

Value = TypeVar("Value")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be looked at.

    Attributes:
        address: of the deployment; None: only this machine.
        credential: of the doctor; None: it has none.
        expired: a token that was good an hour ago; None: it cannot be made.
        origin: of a page, as whose browser it asks.
        workers: how many processes serve, if somebody says so.
        timeout: seconds that a check may wait.
        make_trust: makes what decides whose certificates are good.
    """

    address: Address | None
    credential: Credential | None
    expired: Credential | None
    origin: str | None
    workers: int | None
    timeout: float
    make_trust: Callable[[], ssl.SSLContext]

    @property
    def groups(self) -> tuple[catalogue.Group, ...]:
        """The checks that belong to it."""
        return catalogue.LOCAL + (() if self.address is None else catalogue.DEPLOYMENT)

    @property
    def secrets(self) -> frozenset[str]:
        """What must not be shown."""
        credentials = (self.credential, self.expired)
        tokens = [each.secret for each in credentials if each is not None]
        tokens.append(None if self.address is None else self.address.token)
        return frozenset(filter(None, tokens))


async def examine(request: Request, on_progress: Progress) -> list[Finding]:
    """Makes all checks; the findings come in the order of the catalogue, one for each."""
    on_progress("looking at the settings of this machine")
    found = environment.examine(
        os.environ, workers=request.workers, has_url=request.address is not None
    )
    on_progress("asking Redis")
    found += await store.examine(environment.read_settings())
    if request.address is not None:
        deployment = Deployment(request, request.address, on_progress)
        await deployment.examine()
        found += deployment.found
    by_name = {finding.check: finding.without(request.secrets) for finding in found}
    return [by_name[name] for name in catalogue.names(request.groups)]


class Deployment:
    """The checks of one deployment. ``found`` grows while they are made."""

    def __init__(self, request: Request, address: Address, on_progress: Progress) -> None:
        self.found: list[Finding] = []
        self._request = request
        self._address = address
        self._tell = on_progress
        self._credential = request.credential
        self._works = False
        self._degraded = False

    async def examine(self) -> None:
        """Makes them all; those that had no turn are skipped."""
        address, timeout = self._address, min(ASK_SECONDS, self._request.timeout)
        self._tell(f"asking {address.origin}")
        seen = None
        if address.encrypted:
            seen = await handshake.shake(address, self._request.make_trust, timeout=timeout)
        self.found.append(handshake.judge_certificate(seen))
        self.found.append(handshake.judge_protocol(seen, address))
        if seen is not None and seen.fault is not None:
            self._skip_rest("address.certificate")
            self.found.append(limits.judge(()))
            return
        # Without TLS nobody has to be trusted, and to load whom one trusts takes its time.
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if address.encrypted:
            trust = self._request.make_trust()
        async with connected_to(address, trust, timeout=timeout) as wire:
            try:
                await self._ask(wire)
            except NoAnswer as error:
                self._give_up(error)
            self.found.append(limits.judge(wire.answers))

    async def _ask(self, wire: Wire) -> None:
        seen = await endpoint.look(wire)
        self.found += endpoint.judge(seen, self._address)
        if not seen.is_ours:
            self._skip_rest(_cause(self.found, "address."))
            return
        self._degraded = seen.health is not None and seen.health.json["status"] == "degraded"
        compared = await clocks.compare(wire)
        self.found += clocks.judge(compared, self._request.credential, time.time())
        page = None
        if self._request.origin is not None:
            page = await cors.ask(wire, self._request.origin)
        self.found += cors.judge(page, self._address.origin)
        if not seen.works:
            self._skip_rest("address.ready")
            return
        self._tell("asking who it takes us for")
        asked = await authentication.ask(wire, self._credential, self._request.expired)
        self.found += authentication.judge(asked, self._credential, skewed=compared.skewed)
        if asked.credential is None:
            self._skip_rest("auth.token")
            return
        quickest = min(answer.seconds for answer in wire.answers)
        await self._follow(wire, asked.credential, quickest)

    async def _follow(self, wire: Wire, credential: Credential, quickest: float) -> None:
        """What needs a good credential. While one stream is held until its first ping, all else
        is tried out."""
        timeout = self._request.timeout
        patience = min(streams.OPEN_SECONDS, timeout)
        about = {"types": QUIET, "clientType": "tidewire-doctor"}
        async with wire.stream(credential, params=about) as plain:
            async with wire.stream(credential, params=about, encoding=AS_BROWSERS) as coded:
                self._tell(f"opening streams, for at most {patience:.0f} s")
                await asyncio.gather(*(_connected(each, patience) for each in (plain, coded)))
                coded_watch = coded.watch
            opened = plain.watch.connected
            told = None if opened is None else opened.data.get("serverInfo", {}).get("version")
            self._tell("asking several times")
            await self._others(wire, credential, told, streams_work=opened is not None)
            if opened is not None:
                await self._await_ping(plain, opened.after)
            seen = streams.Streams(plain.watch, coded_watch, patience, timeout, quickest)
        self.found += streams.judge(seen)

    async def _others(
        self, wire: Wire, credential: Credential, version: str | None, *, streams_work: bool
    ) -> None:
        try:
            seen = await nodes.ask(wire, credential)
        except NoAnswer as error:
            self._give_up(error, ("nodes.", "delivery."))
            return
        if not seen.share_a_log and not self._degraded:
            self._tell_nodes(seen, version)
            return
        self._tell("publishing for ourselves, and looking what arrives")
        tried, failure = None, None
        try:
            tried = await delivery.try_out(
                wire, credential, streams_work=streams_work, timeout=self._request.timeout
            )
        except NoAnswer as error:
            failure = error
        # By what became of these events somebody may have come to light who was silent before.
        seen = nodes.hear(wire, seen.figures)
        self._tell_nodes(seen, version)
        if failure is not None:
            self._give_up(failure, ("delivery.",))
        elif tried is not None and (seen.share_a_log or self._degraded):
            self.found += delivery.judge(tried, streams_work=streams_work)

    def _tell_nodes(self, seen: nodes.Nodes, version: str | None) -> None:
        self.found += nodes.judge(seen, version, degraded=self._degraded)
        if not seen.share_a_log and not self._degraded:
            self._skip("delivery.", "nodes.log")

    async def _await_ping(self, plain: Stream, opened: float) -> None:
        interval = plain.watch.ping_interval
        if interval is None:
            return
        # Also where a ping would come too late: it may be cut before.
        end = min(opened + streams.ping_wait(interval), self._request.timeout)
        pinged = asyncio.create_task(plain.until(lambda block: block.event == "ping", end))
        while not pinged.done():
            self._tell(f"waiting for a ping: {plain.watch.waited:.0f} of at most {end:.0f} s")
            await asyncio.wait([pinged], timeout=1)

    def _give_up(self, error: NoAnswer, families: Sequence[str] = ("",)) -> None:
        """Tells of an answer that did not come: by the first check that had no turn."""
        left = [name for name in self._left() if name.startswith(tuple(families))]
        if left:
            self.found.append(
                failed(
                    left[0],
                    f"An answer did not come, where others had: {error.detail}.",
                    "The error log of the proxy, or of the server, says why.",
                )
            )
            for family in families:
                self._skip(family, left[0])

    def _skip_rest(self, cause: str) -> None:
        self._skip("", cause)

    def _skip(self, family: str, cause: str) -> None:
        self.found += [
            skipped(name, f"It cannot be seen: see {cause}.")
            for name in self._left()
            if name.startswith(family)
        ]

    def _left(self) -> list[str]:
        """The checks that had no turn yet. The last has its own, whatever happens."""
        had = {finding.check for finding in self.found} | {limits.RATES}
        return [name for name in catalogue.names(catalogue.DEPLOYMENT) if name not in had]


def _connected(stream: Stream, seconds: float) -> Awaitable[object]:
    return stream.until(lambda block: block.event == "connected", seconds)


def _cause(found: Iterable[Finding], family: str) -> str:
    """The check of a family that failed."""
    return next(
        finding.check
        for finding in found
        if finding.status == "fail" and finding.check.startswith(family)
    )
