"""What tracing costs those who do not ask for it: server CPU per request with the recorder, over that without it.

    python tests/benchmarks/bench_tracing.py
    python tests/benchmarks/bench_tracing.py control     the same without a recorder in either: how far noise goes
"""
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import requests

ROUNDS = 20      # each with a new pair of servers
SLICES = 5       # of each server in turn, so that a busy moment of the machine meets both
REQUESTS = 800   # in each slice
CONNECTIONS = 16   # whose requests arrive together: a server that falls asleep after each one spends its CPU on waking
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
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)   # or every answer waits 40 ms for a delayed ACK
    print(listener.getsockname()[1], flush=True)
    served = uvicorn.Server(server.config(app))
    threading.Thread(target=answer_with_cpu, args=(served,), daemon=True).start()
    served.run(sockets=[listener])


def answer_with_cpu(served) -> None:
    """Nothing is returned; when stdin ends the server stops."""
    for _ in sys.stdin:
        print(time.process_time(), flush=True)
    served.should_exit = True


# ------------------------------------------------------------------ in the benchmark's process

class Shop:
    """A server, a visitor who is logged in, and the connection between them."""

    def __init__(self, how: str, folder: str) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "serve", how, folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.address = ("127.0.0.1", int(self.process.stdout.readline()))
        self.request = f"GET /products/1 HTTP/1.1\r\nHost: shop\r\nCookie: session={self.log_in()}\r\n\r\n".encode()

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

    def ask(self, connections: list[socket.socket]) -> None:
        """Nothing is returned; a request on each connection was answered."""
        for connection in connections:
            connection.sendall(self.request)
        for connection in connections:
            self.receive(connection)

    def receive(self, connection: socket.socket) -> None:
        """Nothing is returned; a whole answer has arrived."""
        answer = b""
        while not answer.endswith(b"}"):   # the end of the product
            piece = connection.recv(65_536)
            if not piece:
                raise ConnectionError(f"The server closed the connection after {answer!r}.")
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def slice_us(self) -> float:
        """Microseconds of CPU for each request of a slice."""
        before = self.cpu_s()
        # New connections for each slice: the server closes one that is idle for 5 s.
        with ExitStack() as stack:
            connections = [stack.enter_context(socket.create_connection(self.address, timeout=10))
                           for _ in range(CONNECTIONS)]
            for _ in range(REQUESTS // CONNECTIONS):
                self.ask(connections)
        return 1e6 * (self.cpu_s() - before) / REQUESTS

    def close(self) -> None:
        """Nothing is returned; the server is gone."""
        self.process.communicate(timeout=10)


def ratio_of_round(hows: tuple[str, str]) -> tuple[float, float, float]:
    """CPU per request of the first server and of the second, and the second's over the first's.

    Both are new in each round: one process may be some percent faster than its equal, by where its memory lies.
    """
    with tempfile.TemporaryDirectory() as folder:
        shops = [Shop(how, folder) for how in hows]
        slices = [[shop.slice_us() for shop in shops] for _ in range(SLICES + 1)][1:]   # the first warms up
        for shop in shops:
            shop.close()
    first, second = (statistics.median(column) for column in zip(*slices))
    return first, second, second / first


def main(hows: tuple[str, str]) -> None:
    """Nothing is returned; the ratio is printed."""
    firsts, seconds, ratios = zip(*(ratio_of_round(hows) for _ in range(ROUNDS)))
    ratio = statistics.median(ratios)
    print(f"server CPU per GET /products/1, {hows[0]}: {statistics.median(firsts):.0f} µs, {hows[1]}: "
          f"{statistics.median(seconds):.0f} µs; {ratio:.3f} times "
          f"(middle half of {ROUNDS} rounds: {statistics.quantiles(ratios)[0]:.3f} to {statistics.quantiles(ratios)[2]:.3f}), "
          f"{'within' if ratio <= TARGET else 'ABOVE'} {TARGET}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        main(("plain", "plain2") if sys.argv[1:2] == ["control"] else ("plain", "recorded"))
