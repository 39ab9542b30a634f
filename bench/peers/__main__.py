"""Serves one of the peers on a free port of loopback, and prints where.

python -m bench.peers sse-starlette
"""

import gc
import resource
import socket
import sys

import uvicorn

from bench.peers.apps import with_sse_starlette, with_starlette

APPLICATIONS = {"sse-starlette": with_sse_starlette, "Starlette": with_starlette}


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        APPLICATIONS[sys.argv[1]](),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="critical",
        backlog=4096,
        timeout_graceful_shutdown=1,
    )
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    # As Tidewire has it: what is loaded need not be walked again.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
