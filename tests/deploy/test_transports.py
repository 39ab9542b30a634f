"""What holds of each transport holds through each proxy: the client's contract suite, with the
proxy as it is shipped between client and server."""

import re
from collections.abc import Mapping

import pytest

from tests.deploy.proxies import CADDY, HAPROXY, NGINX_ALONE, Kind, Proxy
from tests.serve.processes import Process

SUITE_SECONDS = 180.0


@pytest.mark.timeout(SUITE_SECONDS + 20)
@pytest.mark.parametrize("kind", [NGINX_ALONE, CADDY, HAPROXY], ids=lambda kind: kind.name)
def test_the_contract_of_the_transports_holds_through(
    kind: Kind, contracts: Mapping[str, tuple[Process, Proxy]]
) -> None:
    suite, proxy = contracts[kind.name]
    assert suite.popen.wait(SUITE_SECONDS) == 0, suite.output[-6000:]
    # It did go through the proxy.
    assert len(re.findall(r"/api/sse[ \"]", proxy.log)) > 10
    assert len(re.findall(r"/api/realtime/polling[ \"]", proxy.log)) > 10
