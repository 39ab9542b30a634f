"""Whose request it is, where it came by way of proxies."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from starlette.requests import HTTPConnection

from tidewire.core.errors import ConfigurationError

SETTING: Final = "TIDEWIRE_TRUSTED_PROXIES"

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN: Final = "unknown"
"""The address of a client where the server tells none, as on a Unix socket."""

HOST_BITS: Final = 64
"""What one host may draw its IPv6 addresses from (RFC 4291 section 2.5.1)."""


class Proxies:
    """The proxies whose ``X-Forwarded-For`` is believed; whoever else sends it is passed over."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Takes addresses and networks (CIDR).

        Raises:
            ConfigurationError: one of them is neither.
        """
        self._trusted = [_network(text) for text in trusted]

    def client(self, request: HTTPConnection) -> str:
        """The address of the client: the rightmost hop that is no trusted proxy.

        Everything to the left of it was said by somebody whom we do not know.
        """
        client = request.scope.get("client")
        if client is None:
            return UNKNOWN
        host: str = client[0]
        if not self._trusted and ":" not in host:
            # An IPv4 address has only one form, and what is no address stays as it is.
            return host or UNKNOWN
        peer = _address(host)
        if peer is None:
            return host or UNKNOWN
        if not self._trusts(peer):
            return str(peer)
        found = peer
        for text in reversed(_hops(request)):
            hop = _address(text)
            if hop is None:
                break
            found = hop
            if not self._trusts(hop):
                break
        return str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def whole_host(address: str) -> str:
    """What to count for an address: of IPv6 the network, for a host has as many addresses as
    it likes."""
    parsed = _address(address) if ":" in address else None
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, HOST_BITS), strict=False))
    return address


def _hops(request: HTTPConnection) -> list[str]:
    fields = request.headers.getlist("x-forwarded-for")
    return [hop.strip() for field in fields for hop in field.split(",")]


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigurationError(
            f"{SETTING}: {text!r} is no address and no network. Give, for example, "
            "'127.0.0.1, 10.0.0.0/8'."
        ) from error


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    # Some proxies add the port.
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # The zone of a link-local address is of no meaning but on this machine.
        address = ipaddress.IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address
