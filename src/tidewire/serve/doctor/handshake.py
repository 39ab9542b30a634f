"""What a server shows over TLS: its certificate, and which HTTP it offers."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tidewire.serve.doctor import mends
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned

DAY: Final = 86_400
RENEWED_AT: Final = 6
"""Who renews certificates by themselves does so when a third of their time is left. One of which
less than a sixth is left was forgotten."""
URGENT_DAYS: Final = 3

CERTIFICATE: Final = "address.certificate"
PROTOCOL: Final = "address.protocol"
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

RENEW: Final = (
    "Renew the certificate, and have the proxy read it (nginx -s reload). `certbot renew "
    "--dry-run` tells why it was not renewed by itself; Caddy renews by itself as long as it can "
    "be reached at port 80 or 443."
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """How TLS began.

    Attributes:
        protocol: what ALPN (RFC 7301) chose; None: nothing.
        begins, ends: of the certificate, Unix seconds; None where there is none to see.
        fault: why the certificate is not good; None if it is.
        failure: why TLS did not begin for another reason.
    """

    protocol: str | None = None
    begins: float | None = None
    ends: float | None = None
    fault: str | None = None
    failure: str | None = None


async def shake(
    address: Address, make_trust: Callable[[], ssl.SSLContext], *, timeout: float
) -> Handshake:
    """Begins TLS and ends it; ``timeout`` in seconds."""
    trust = make_trust()
    trust.set_alpn_protocols(["h2", "http/1.1"])
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                address.host, address.port, ssl=trust, server_hostname=address.host
            )
    except ssl.SSLCertVerificationError as error:
        return Handshake(fault=error.verify_message or str(error))
    except (OSError, TimeoutError) as error:
        return Handshake(failure=str(error) or type(error).__name__)
    try:
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        certificate: dict[str, Any] = shown.getpeercert() or {}
        return Handshake(
            shown.selected_alpn_protocol(),
            _seconds(certificate, "notBefore"),
            _seconds(certificate, "notAfter"),
        )
    finally:
        writer.transport.abort()


def judge_certificate(seen: Handshake | None, now: float | None = None) -> Finding:
    """Whether browsers take the certificate, and for how long; ``now`` in Unix seconds."""
    if seen is None:
        return skipped(CERTIFICATE, "The address is one without TLS.")
    if seen.fault is not None:
        return failed(
            CERTIFICATE,
            f"The certificate is not good: {seen.fault}.",
            f"{RENEW}\nOne that an authority of your own signed is checked with --ca-file.",
        )
    if seen.failure is not None or seen.begins is None or seen.ends is None:
        return skipped(CERTIFICATE, "No certificate was seen.")
    left = seen.ends - (time.time() if now is None else now)
    measured = {"daysLeft": round(left / DAY, 1)}
    told = f"The certificate is good for {_span(left)} more"
    if left > min((seen.ends - seen.begins) / RENEWED_AT, 21 * DAY):
        return passed(CERTIFICATE, f"{told}.", measured)
    reason = f"{told}, and was not renewed in time."
    if left < URGENT_DAYS * DAY:
        return failed(CERTIFICATE, reason, RENEW, measured)
    return warned(CERTIFICATE, reason, RENEW, measured)


def judge_protocol(seen: Handshake | None, address: Address) -> Finding:
    """How many streams a browser can hold at this address."""
    six = "By HTTP/1.1 a browser opens six connections to an address, and each stream takes one"
    if seen is None:
        if address.host in LOCAL_HOSTS:
            return passed(PROTOCOL, f"{six}. On your own machine that will do.")
        return warned(
            PROTOCOL,
            f"{six}. Browsers speak HTTP/2 only over TLS, and tokens should not travel without.",
            mends.HTTP2,
            {"protocol": "http/1.1"},
        )
    if seen.failure is not None or seen.fault is not None:
        return skipped(PROTOCOL, "TLS did not begin.")
    measured = {"protocol": seen.protocol or "http/1.1"}
    if seen.protocol == "h2":
        return passed(
            PROTOCOL, "HTTP/2 is offered: all tabs of a browser share a connection.", measured
        )
    return warned(
        PROTOCOL,
        f"HTTP/2 is not offered. {six}: with six tabs open the seventh hangs.",
        mends.HTTP2,
        measured,
    )


def _seconds(certificate: dict[str, Any], name: str) -> float | None:
    text = certificate.get(name)
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else None


def _span(seconds: float) -> str:
    return f"{seconds / DAY:.0f} days" if seconds >= 2 * DAY else f"{seconds / 3600:.0f} hours"
