"""What tracing costs those who do not ask for it: server CPU per request with the recorder, over that without it.

    python tests/benchmarks/bench_tracing.py
"""
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

ROUNDS = 20        # of both servers in turn, so that a busy moment of the machine meets both
REQUESTS = 1_500   # in each round
TARGET = 1.03      # tracing present but not asked for costs 3 % at most
EXAMPLE = Path(__file__).parents[2] / "examples" / "01-monolith"


# ------------------------------------------------------------------ in the server's process

def serve(how: str, folder: str) -> None:
    """Nothing is returned; the shop runs until its stdin ends, and answers each line there with the CPU it has used."""
    sys.path.insert(0, str(EXAMPLE))
    if how == "recorded":
        from webscale import recorder
        recorder.install("shop")
    import uvicorn
    from shop import server
    from shop.app import create_app
    from shop.settings import Settings
    app = create_app(Settings(database=f"sqlite:///{folder}/{how}.db"))
    if how == "recorded":
        app = recorder.sampled(app, lambda record: None)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    asyncio.run(until_stdin_ends(uvicorn.Server(server.config(app)), listener))


async def until_stdin_ends(server, listener: socket.socket) -> None:
    """Nothing is returned; the server has stopped."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)
    server.should_exit = True
    await serving


# ------------------------------------------------------------------ in the benchmark's process

class Shop:
    """A server, a visitor who is logged in, and the connection between them."""

    def __init__(self, how: str, folder: str) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "serve", how, folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.address = ("127.0.0.1", int(self.process.stdout.readline()))
        self.request = f"GET /products/1 HTTP/1.1\r\nHost: shop\r\nCookie: session={self.log_in()}\r\n\r\n".encode()
        self.connection = socket.create_connection(self.address)

    def log_in(self) -> str:
        """The token of a session."""
        url, who = "http://{}:{}".format(*self.address), {"email": "pat@example.com", "password": "correct horse"}
        with requests.Session() as session:
            session.trust_env = False
            session.post(url + "/accounts", json=who)
            return session.post(url + "/session", json=who).cookies["session"]

    def cpu_s(self) -> float:
        """The CPU time that the server has used."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def once(self) -> None:
        """Nothing is returned; one request was answered."""
        self.connection.sendall(self.request)
        answer = self.connection.recv(65_536)
        while not answer.endswith(b"}"):   # the end of the product
            answer += self.connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def round_us(self) -> float:
        """Microseconds of CPU for each request of a round."""
        before = self.cpu_s()
        for _ in range(REQUESTS):
            self.once()
        return 1e6 * (self.cpu_s() - before) / REQUESTS

    def close(self) -> None:
        """Nothing is returned; the server is gone."""
        self.connection.close()
        self.process.communicate()


def main() -> None:
    """Nothing is returned; the ratio is printed."""
    with tempfile.TemporaryDirectory() as folder:
        shops = {how: Shop(how, folder) for how in ("plain", "recorded")}
        rounds = {how: [] for how in shops}
        for number in range(-1, ROUNDS):   # one more, which warms up and does not count
            for how in sorted(shops, reverse=number % 2 == 0):
                rounds[how].append(shops[how].round_us())
        for shop in shops.values():
            shop.close()
    plain, recorded = rounds["plain"][1:], rounds["recorded"][1:]
    ratio = statistics.median(b / a for a, b in zip(plain, recorded))
    print(f"server CPU per GET /products/1: {statistics.median(plain):.0f} µs, with the recorder "
          f"{statistics.median(recorded):.0f} µs: {ratio:.3f} times, {'within' if ratio <= TARGET else 'ABOVE'} {TARGET}")


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1:2] == ["serve"] else main()
