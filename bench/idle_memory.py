"""What an idle connection costs: resident memory of the server, and of the kernel beside it.

Each connection is a stream of a user of its own, with a token of its own where the server asks for
one. One of them is opened first, so that what is loaded at the first is not counted; then the
others, and after the last one it is waited. No event passes.

The kernel's memory is what the whole machine has more than before, for both ends of each
connection: bytes of data of TCP (/proc/net/sockstat), and slabs, where its sockets are.

    .venv/bin/python -m bench.idle_memory --pairs 5
"""

from bench.load import loading
from bench.process import KernelMemory, resident
from bench.servers import Kind, nchan, sse_starlette, starlette, tidewire
from bench.suite import chosen, command, rounds, told
from bench.table import Target, arguments, measured


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--settle", type=float, default=60, help="seconds after the last connect")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    options = parser.parse_args()
    kinds = chosen([tidewire(), nchan(), sse_starlette(), starlette()], options.peers)
    with measured("idle_memory", options, told(kinds)) as table:
        memory = table.row("RSS for each idle connection", "KiB", Target(4, at_most=True))
        data = table.row("the kernel's TCP data", "KiB", compared=False)
        slab = table.row("the kernel's slabs", "KiB", compared=False)

        def measure(kind: Kind) -> None:
            count = options.connections
            with kind.start() as server, loading(server, count + 1) as load:
                load.open(0, 1)
                before, kernel = resident(server.pid), KernelMemory.now()
                load.open(1, count + 1, within=120)
                load.run(hold=options.settle, within=options.settle + 10)
                after, held = resident(server.pid), KernelMemory.now()
            memory.add(kind.name, (after - before) / count / 1024)
            data.add(kind.name, (held.tcp - kernel.tcp) / count / 1024)
            slab.add(kind.name, (held.slab - kernel.slab) / count / 1024)

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
