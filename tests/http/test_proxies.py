"""The address of a client: said by the connection, or by proxies that are trusted."""

import pytest
from starlette.requests import HTTPConnection

from tidewire.core.errors import ConfigurationError
from tidewire.http.proxies import UNKNOWN, Proxies, whole_host

TRUSTED = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]


def request(peer: str | None, *fields: str) -> HTTPConnection:
    return HTTPConnection(
        {
            "type": "http",
            "client": None if peer is None else (peer, 1234),
            "headers": [(b"x-forwarded-for", field.encode()) for field in fields],
        }
    )


@pytest.mark.parametrize(
    ("peer", "fields", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1", "203.0.113.9,127.0.0.1"], "203.0.113.9"),
        ("10.1.2.3", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ("10.1.2.3", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.1.2.3", ["nonsense"], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9:51234"], "203.0.113.9"),
        ("10.1.2.3", ["[2001:db8::5]:51234"], "2001:db8::5"),
        ("2001:db8:1::7", ["2001:db8:2::5"], "2001:db8:2::5"),
        ("2001:db8:2::7", ["2001:db8:2::5"], "2001:db8:2::7"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("testclient", ["203.0.113.9"], "testclient"),
        (None, ["203.0.113.9"], UNKNOWN),
        ("", ["203.0.113.9"], UNKNOWN),
    ],
)
def test_the_rightmost_hop_that_is_not_trusted_is_the_client(
    peer: str | None, fields: list[str], client: str
) -> None:
    assert Proxies(TRUSTED).client(request(peer, *fields)) == client


def test_by_default_nobody_is_believed() -> None:
    assert Proxies().client(request("127.0.0.1", "203.0.113.9")) == "127.0.0.1"


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "10.0.0", "*"])
def test_what_is_no_network_is_refused_by_the_name_of_the_setting(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TIDEWIRE_TRUSTED_PROXIES: "):
        Proxies([text])


def test_a_host_counts_once_however_many_addresses_it_draws() -> None:
    assert whole_host("2001:db8::1") == whole_host("2001:db8::ffff:1:2:3") == "2001:db8::/64"
    assert whole_host("2001:db8:0:1::1") != whole_host("2001:db8::1")
    assert whole_host("192.0.2.1") == "192.0.2.1"
    assert whole_host(UNKNOWN) == UNKNOWN
