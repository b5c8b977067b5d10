"""What happens on the connection itself, below HTTP's good manners."""
import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
from shop.server import Gathered, listener

from webscale import stages
from webscale.servers import serve

STREAM = '''
from starlette.responses import StreamingResponse

async def Stream(scope, receive, send):
    """Fifty thousand short lines, each written by itself."""
    async def lines():
        for n in range(50_000):
            yield f"{n}\\n"
    await StreamingResponse(lines())(scope, receive, send)
'''


@pytest.fixture(scope="module")
def shop():
    """A shop that waits one second for a body."""
    with serve("01-monolith", settings={"body_timeout_s": 1}) as server:
        yield server


def answer(shop, *pieces, wait_s=15):
    """All bytes that the server sends back before it closes the connection."""
    with socket.create_connection(("127.0.0.1", shop.port), timeout=wait_s) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                                     b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_not_http_gets_a_plain_400(shop, garbage):
    received = answer(shop, garbage)

    assert received.startswith(b"HTTP/1.1 400 ")


def test_headers_above_32_kb_are_431(shop):
    received = answer(shop, b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 33_000 + b"\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 431 ")


def test_headers_that_never_end_are_431_too(shop):
    line = b"X-More: " + b"x" * 1_000 + b"\r\n"

    received = answer(shop, b"GET / HTTP/1.1\r\nHost: x\r\n", *[line] * 40)

    assert received.startswith(b"HTTP/1.1 431 ")


def test_headers_of_30_kb_are_fine(shop):
    received = answer(shop, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"x" * 30_000 + b"\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200 ")


def test_a_body_that_never_arrives_is_408(shop):
    start = time.perf_counter()

    received = answer(shop, b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: 100\r\n\r\n{")

    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.perf_counter() - start < 8


def test_half_a_header_is_not_waited_for_without_end(shop):
    start = time.perf_counter()

    received = answer(shop, b"GET / HTTP/1.1\r\nHost:")

    assert received == b""
    assert 9 < time.perf_counter() - start < 14


def test_x_forwarded_for_is_believed_from_nobody():
    with serve("01-monolith", settings={"logins_per_address": 2}) as shop, shop.session() as session:
        login = {"email": "nobody@example.com", "password": "wrong"}

        statuses = [session.post(f"{shop.url}/session", json=login, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
                    for n in range(4)]

    assert statuses == [401, 401, 429, 429]


def test_too_many_logins_to_one_account_are_429_and_say_how_long_to_wait():
    with serve("01-monolith", settings={"logins_per_account": 2}) as shop, shop.session() as session:
        login = {"email": "pat@example.com", "password": "wrong"}

        answers = [session.post(f"{shop.url}/session", json=login) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60


def test_an_answer_does_not_wait_for_the_clients_acknowledgement():
    with listener(0) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_the_head_of_a_response_leaves_together_with_its_body():
    packets = []

    async def respond():
        gathered = Gathered(SimpleNamespace(write=packets.append), asyncio.get_running_loop())
        gathered.write(b"head, ")
        gathered.write(b"body")
        await asyncio.sleep(0)
    asyncio.run(respond())

    assert packets == [b"head, body"]


def test_a_response_without_a_body_is_not_held_back(shop):
    received = answer(shop, b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 ") and received.endswith(b"\r\n\r\n")


def test_a_long_stream_arrives_whole_and_in_order(monkeypatch):
    monkeypatch.setitem(stages.sources, "Stream", STREAM)

    with serve(stage="Stream") as server, server.session() as session:
        lines = session.get(server.url).text.split()

    assert lines == [str(n) for n in range(50_000)]
