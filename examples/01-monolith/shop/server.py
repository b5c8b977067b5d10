"""How the shop's application meets the network: uvicorn, with a limit on what it waits for."""
import asyncio
import http
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES = 32_768
HEADERS_TIMEOUT_S = 10
LINGER_S = 1   # how long a refused client may go on sending


def listener(port: int) -> socket.socket:
    """A socket that listens on this machine's port; 0 takes any free one. OSError if it cannot be had."""
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    # Python's own event loop forgets this for sockets that it did not make, and each
    # answer on a kept connection would then wait 40 ms for the client's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def config(app: ASGIApp) -> uvicorn.Config:
    """The configuration that every server of the shop runs with."""
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",                     # the shop speaks HTTP only
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,           # X-Forwarded-For is believed from nobody: it would forge the address we count by
        timeout_graceful_shutdown=2,   # seconds that requests under way get to finish
    )


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself reads headers of any size and waits for them without end."""

    timer: asyncio.TimerHandle | None = None   # runs while headers are due
    in_headers = False
    received = 0       # bytes since the last headers were complete
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(Gathered(transport, self.loop))
        self.wait_for_headers()

    def connection_lost(self, error: Exception | None) -> None:
        self.stop_waiting()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.received += len(data)
        super().data_received(data)
        if self.in_headers and self.received > MOST_HEADER_BYTES:
            self.refuse(431)
        elif self.in_headers and self.timer is None:
            self.wait_for_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_headers = True

    def on_headers_complete(self) -> None:
        self.in_headers = False
        self.stop_waiting()
        # What was received may be a body for the most part: count the headers themselves, if there is need.
        if self.received > MOST_HEADER_BYTES and self.header_bytes() > MOST_HEADER_BYTES:
            self.refuse(431)
            raise ValueError("headers too large")   # stops the parser; uvicorn then calls send_400_response
        self.received = 0
        super().on_headers_complete()

    def header_bytes(self) -> int:
        """The size of the headers as they came, with the route."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def wait_for_headers(self) -> None:
        """Nothing is returned; the connection closes unless the headers are complete in time."""
        self.timer = self.loop.call_later(HEADERS_TIMEOUT_S, self.transport.close)

    def stop_waiting(self) -> None:
        """Nothing is returned; the connection stays open."""
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def refuse(self, status: int) -> None:
        """Nothing is returned; the client is told why, and the connection closes."""
        self.refused = True
        self.stop_waiting()
        if self.transport.is_closing():
            return
        words = f"{status} {http.HTTPStatus(status).phrase}"
        self.transport.write(f"HTTP/1.1 {words}\r\nContent-Type: text/plain\r\nContent-Length: {len(words)}\r\n"
                             f"Connection: close\r\n\r\n{words}".encode("ascii"))
        self.transport.write_eof()
        # Closed at once, with bytes still on their way to us, the connection would be
        # reset, and the client would never read our answer.
        self.loop.call_later(LINGER_S, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        if not self.refused:
            super().send_400_response(msg)


class Gathered:
    """A connection's transport that sends at once what the application writes in one turn of the event loop.

    uvicorn writes a response's head and its body one after the other, and each would leave as a packet of its own: the
    client wakes up for the head, finds nothing to do yet, and has to be woken again. Gathered, with the responses of
    all requests that arrived together, the shop answers a third more requests a second.
    """

    MOST_BYTES = 65_536   # a stream must not pile up here

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport, self.loop = transport, loop
        self.held = b""

    def __getattr__(self, name: str) -> object:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        """Nothing is returned; the data leaves with the next turn of the loop."""
        if not self.held:
            self.loop.call_soon(self.flush)
        self.held += data
        if len(self.held) > self.MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Nothing is returned; nothing is held back any more."""
        if self.held:
            self.transport.write(self.held)
            self.held = b""

    def write_eof(self) -> None:
        """Nothing is returned; nothing follows what was written."""
        self.flush()
        self.transport.write_eof()

    def close(self) -> None:
        """Nothing is returned; the connection closes once everything has left."""
        self.flush()
        self.transport.close()
