"""Where it is noticed who leaves, a few at a time.

An event loop takes note of all that has happened before it does anything else. When a network
fails, that is the end of thousands of connections at once, and of each it reads, and tells its
protocol. So nobody reads from an open stream before its peer has said something or has gone. Who
has is looked for here, and so many are read from between two looks at all that is open.
"""

import asyncio
import select

from tidewire.serve.turnstile import AT_A_TIME


class Doorway:
    """The open streams of one event loop whose peers have said nothing yet. It takes epoll."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._silent: dict[int, asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._silent)

    def watch(self, fd: int, transport: asyncio.Transport) -> None:
        """Lets a connection be read from only once there is something to read, or the end."""
        transport.pause_reading()
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._look, self._epoll)
        self._silent[fd] = transport
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """Watches no more over a connection that was lost, or is read from. One that was lost is
        closed right after that, which takes it out of what the system watches."""
        if self._silent.pop(fd, None) is not None and not self._silent and self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _look(self, epoll: select.epoll) -> None:
        for fd, _ in epoll.poll(0, AT_A_TIME):
            # A descriptor that is closed here and still held by another process is reported for
            # the connection that has its number now; that is then read from as any other is.
            transport = self._silent.get(fd)
            if transport is not None:
                self.forget(fd)
                transport.resume_reading()
