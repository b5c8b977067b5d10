"""The load generator, in a process of its own: a chart that is redrawn beside it must not delay what it sends.

Started by `webscale.load` as `python -m webscale.generator`. Its first line of input says what to send, and how many
bytes follow that say when. What happened leaves by its output: lines of JSON, each with the columns of numbers that it
announces. A line "stop" ends the run early; the end of the input, however it came, ends the process at once.

One loop, no framework: a client that costs as much as the server can only measure itself.
"""
import errno
import gc
import heapq
import json
import os
import random
import re
import select
import selectors
import socket
import sys
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator

import httptools

SPIN_S = 100e-6       # before a send is due the loop polls for so long: no timer is that exact
BATCH = 64            # late requests that are sent before answers are looked at again
TICK_S = 0.25         # between two looks at the clock for what has timed out
AFTER_FAILURE_S = 0.1   # a client of a closed loop waits for so long before it tries again
COLUMNS = {"intended": "d", "sent": "d", "done": "d", "status": "H", "bytes": "L", "step": "H"}

clock = time.perf_counter


# ------------------------------------------------------------------ what is sent

class Requests:
    """The bytes of one request after another, drawn from a seed."""

    def __init__(self, what: dict, host: str, keep_alive: bool, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps = [template(step, host, keep_alive) for step in what["steps"]]
        self.weights = [step["weight"] for step in what["steps"]]
        self.draws = {name: self.draw(law) for name, law in what["draws"].items()}
        self.draws["key"] = lambda: f"{self.random.getrandbits(64):x}"

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The number of the step, and the request."""
        if len(self.steps) == 1 and not self.steps[0][2]:
            head, body, _ = self.steps[0]
            always = 0, filled(head, body, {})
            while True:
                yield always
        numbers = range(len(self.steps))
        while True:
            for number in self.random.choices(numbers, self.weights, k=256):
                head, body, names = self.steps[number]
                yield number, filled(head, body, {name: self.draws[name]() for name in names})

    def draw(self, law: dict) -> Callable[[], object]:
        """A function that draws from the law."""
        match law["law"]:
            case "popular":   # the k-th is asked for about 1/k as often as the first
                most, uniform = law["most"], self.random.random
                return lambda: int(most ** uniform())
            case "uniform":
                return lambda: self.random.randint(law["least"], law["most"])
            case "one of":
                return lambda: self.random.choice(law["values"])
        raise ValueError(f"There is no law {law['law']!r}; there are: popular, uniform, one of.")


def template(step: dict, host: str, keep_alive: bool) -> tuple[str, str, list[str]]:
    """The head and the body, with places for what is drawn, and the names of these places."""
    lines = [f"{step['method']} {step['path']} HTTP/1.1", f"Host: {host}"]
    lines += [] if keep_alive else ["Connection: close"]
    lines += ["Cookie: session=$session"] if step["logged_in"] else []
    lines += ["Idempotency-Key: $key"] if step["key"] else []
    lines += [f"{name}: {value}" for name, value in step["headers"].items()]
    body = "" if step["body"] is None else json.dumps(step["body"])
    lines += ["Content-Type: application/json", "Content-Length: $length"] if body else []
    head = "\r\n".join([*lines, "", ""])
    body = re.sub(r'"\$product"', "$product", body)   # a number
    names = sorted({*re.findall(r"\$(\w+)", head + body)} - {"length"})
    return places(head), places(body), names


def places(text: str) -> str:
    """The text with %(word)s for $word."""
    return re.sub(r"\$(\w+)", r"%(\1)s", text.replace("%", "%%"))


def filled(head: str, body: str, values: dict) -> bytes:
    """The request, with its values in their places."""
    content = body % values
    return (head % {**values, "length": len(content)} + content).encode()


# ------------------------------------------------------------------ connections

class Connection:
    """A connection to the server, with at most one request under way."""

    __slots__ = ("run", "number", "socket", "fd", "parser", "rest", "intended", "sent", "step", "received")

    def __init__(self, run: "Run", number: int) -> None:
        self.run, self.number = run, number
        self.socket = socket.socket(run.family)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.socket.fileno()
        self.parser = httptools.HttpResponseParser(self)
        self.rest = b""        # of the request, that the socket has not taken yet
        self.intended = -1.0   # when the request under way was meant to be sent; -1 if there is none
        error = self.socket.connect_ex(run.address)
        if error not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self.socket.close()
            raise OSError(error, os.strerror(error))

    def send(self, intended: float, step: int, request: bytes) -> None:
        """Nothing is returned; the request is on its way, as far as the socket takes it."""
        self.intended, self.step, self.received = intended, step, 0
        self.sent = clock()
        try:
            taken = self.socket.send(request)
        except (BlockingIOError, InterruptedError):
            taken = 0
        except OSError as error:
            # Not connected yet: some systems say so here, and others when the connection can be written to.
            if error.errno != errno.ENOTCONN:
                return self.run.fail(self, kind(error))
            taken = 0
        if taken < len(request):
            self.rest = request[taken:]
            self.run.poll.want_write(self.fd, True)

    def writable(self) -> None:
        """Nothing is returned; more of the request is on its way."""
        if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self.run.fail(self, kind(OSError(error, "")))
        try:
            self.rest = self.rest[self.socket.send(self.rest):]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            return self.run.fail(self, kind(error))
        if not self.rest:
            self.run.poll.want_write(self.fd, False)

    def readable(self) -> None:
        """Nothing is returned; what has arrived was read."""
        try:
            data = self.socket.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            return self.run.fail(self, kind(error))
        if not data:
            return self.run.fail(self, "closed")
        if self.intended < 0:   # nobody asked
            return self.run.fail(self, "nonsense")
        self.received += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.run.fail(self, "nonsense")

    def on_message_complete(self) -> None:
        """Nothing is returned; called by the parser at the end of a response."""
        self.run.answered(self, self.parser.get_status_code(), self.parser.should_keep_alive())


def kind(error: OSError) -> str:
    """One word for what went wrong."""
    return {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset",
            errno.ETIMEDOUT: "timeout", errno.EMFILE: "too many files",
            errno.EADDRNOTAVAIL: "no port left"}.get(error.errno, "unreachable")


class Epoll:
    """Waits for sockets on Linux, to the microsecond: epoll's own timeout knows milliseconds only."""

    def __init__(self) -> None:
        self.epoll = select.epoll()

    def add(self, fd: int) -> None:
        self.epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        self.epoll.unregister(fd)

    def want_write(self, fd: int, wanted: bool) -> None:
        self.epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """What has happened: file numbers, with 4 in their event if they can be written to."""
        if timeout_s > 0:
            select.select([self.epoll], [], [], timeout_s)
        return self.epoll.poll(0, 512)


class Selector:
    """Waits for sockets anywhere else."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def add(self, fd: int) -> None:
        self.selector.register(fd, selectors.EVENT_READ)

    def remove(self, fd: int) -> None:
        self.selector.unregister(fd)

    def want_write(self, fd: int, wanted: bool) -> None:
        self.selector.modify(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0))

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """What has happened: file numbers, with 4 in their event if they can be written to."""
        if not self.selector.get_map():   # Windows cannot wait for nothing
            time.sleep(timeout_s)
            return []
        return [(key.fd, (1 if events & selectors.EVENT_READ else 0) | (4 if events & selectors.EVENT_WRITE else 0))
                for key, events in self.selector.select(timeout_s)]


# ------------------------------------------------------------------ a run

class Run:
    """One run: everything that was sent, and what became of it."""

    def __init__(self, config: dict, say: Callable[[dict, list[array]], None]) -> None:
        self.config, self.say = config, say
        self.family, *_, address = socket.getaddrinfo(config["host"], config["port"], type=socket.SOCK_STREAM)[0]
        self.address = address
        host = f"{config['host']}:{config['port']}"
        self.requests = iter(Requests(config["what"], host, config["keep_alive"], config["seed"]))
        self.poll = Epoll() if hasattr(select, "epoll") else Selector()
        self.connections: dict[int, Connection] = {}   # by file number
        self.opened = 0
        self.idle: list[tuple[int, Connection]] = []   # a heap: the oldest is used again first
        self.waiting: deque[tuple[float, int, bytes]] = deque()   # requests for which there is no connection
        self.resting: deque[float] = deque()   # when clients of a closed loop ask again
        self.stopped = threading.Event()
        self.under_way = 0
        self.clear()

    def clear(self) -> None:
        """Nothing is returned; the records begin anew."""
        self.columns = {name: array(code) for name, code in COLUMNS.items()}
        self.failures: list[tuple[float, float, str]] = []   # (intended, found out, kind)

    def go(self, schedule: array) -> None:
        """Nothing is returned; the run has taken place."""
        prepared = [next(self.requests) for _ in schedule]
        gc.collect()
        gc.freeze()
        gc.disable()
        self.cpu_began, self.began = time.process_time(), clock()
        self.next_tick = self.began + TICK_S
        if self.config["clients"]:
            self.closed_loop(self.config["clients"], self.config["seconds"], self.config["think_s"])
        else:
            self.open_loop(schedule, prepared)
        self.flush(True)

    # -------------------------------------------------------------- open loop

    def open_loop(self, schedule: array, prepared: list[tuple[int, bytes]]) -> None:
        """Nothing is returned; each request was sent at its time, or as soon after as could be, and none was left out."""
        start = clock() + 0.02
        self.started = start
        due = [start + at for at in schedule]
        following, count = 0, len(due)
        while following < count and not self.stopped.is_set():
            now, last = clock(), following + BATCH
            while following < count and due[following] <= now and following < last:
                self.fire(due[following], *prepared[following])
                following += 1
            if following < count:
                left = due[following] - clock()
                self.look(left - SPIN_S if left > SPIN_S + 20e-6 else 0)
        self.offered_s = (due[-1] - start) if due else 0
        while (self.under_way or self.waiting) and not self.stopped.is_set():
            self.look(0.01)

    def fire(self, intended: float, step: int, request: bytes) -> bool:
        """Whether the request was sent, or waits for a connection; it has failed if there was none to be had."""
        if self.idle:
            connection = heapq.heappop(self.idle)[1]
        elif len(self.connections) < self.config["connections"]:
            connection = self.connect(intended)
        else:
            self.waiting.append((intended, step, request))
            return True
        if connection:
            self.under_way += 1
            connection.send(intended, step, request)
        return connection is not None

    def connect(self, intended: float) -> Connection | None:
        """A new connection; None if it failed at once."""
        try:
            connection = Connection(self, self.opened)
        except OSError as error:
            self.failures.append((intended, clock(), kind(error)))
            return None
        self.opened += 1
        self.connections[connection.fd] = connection
        self.poll.add(connection.fd)
        return connection

    # -------------------------------------------------------------- closed loop

    def closed_loop(self, clients: int, seconds: float, think_s: float) -> None:
        """Nothing is returned; each client has asked, waited for the answer, thought, and asked again."""
        self.started = clock()
        self.ends = self.started + seconds
        self.think_s, self.offered_s = think_s, seconds
        self.resting.extend([self.started] * clients)
        while clock() < self.ends and not self.stopped.is_set():
            while self.resting and self.resting[0] <= (now := clock()):
                self.resting.popleft()
                if not self.fire(now, *next(self.requests)):
                    self.rest(AFTER_FAILURE_S)
            until = min(self.ends, self.next_tick, self.resting[0] if self.resting else self.ends)
            self.look(max(0, until - clock()))
        while self.under_way and not self.stopped.is_set():
            self.look(0.01)

    def rest(self, seconds: float) -> None:
        """Nothing is returned; one client asks again after so long."""
        at = clock() + seconds
        if not self.resting or self.resting[-1] <= at:
            return self.resting.append(at)
        self.resting = deque(sorted([*self.resting, at]))

    # -------------------------------------------------------------- what happens to requests

    def look(self, timeout_s: float) -> None:
        """Nothing is returned; what has arrived was read, after at most so long a wait."""
        connections = self.connections
        for fd, event in self.poll.wait(timeout_s):
            if connection := connections.get(fd):
                if event & 4 and connection.rest:
                    connection.writable()
                if event & ~4:
                    connection.readable()
        if (now := clock()) > self.next_tick:
            self.tick(now)

    def answered(self, connection: Connection, status: int, keep_alive: bool) -> None:
        """Nothing is returned; the response is noted, and the connection is free for the next request."""
        now, columns = clock(), self.columns
        columns["intended"].append(connection.intended)
        columns["sent"].append(connection.sent)
        columns["done"].append(now)
        columns["status"].append(status)
        columns["bytes"].append(connection.received)
        columns["step"].append(connection.step)
        connection.intended = -1.0
        self.under_way -= 1
        if not keep_alive or not self.config["keep_alive"]:
            self.close(connection)
        elif self.config["clients"] and not self.think_s and not self.waiting:
            if now < self.ends:   # the quick way round: the same client asks again at once
                self.under_way += 1
                return connection.send(now, *next(self.requests))
        else:
            heapq.heappush(self.idle, (connection.number, connection))
        self.next_please(now)

    def next_please(self, now: float) -> None:
        """Nothing is returned; whoever waits for a connection gets one, and a client of a closed loop thinks."""
        if self.waiting:
            self.fire(*self.waiting.popleft())
        elif self.config["clients"] and now < self.ends:
            self.rest(self.think_s)

    def fail(self, connection: Connection, what: str) -> None:
        """Nothing is returned; the failure is noted, and the connection closed. One that was idle is no failure."""
        intended, now = connection.intended, clock()
        self.close(connection)
        if intended < 0:
            self.idle = [(number, other) for number, other in self.idle if other is not connection]
            return heapq.heapify(self.idle)
        self.under_way -= 1
        self.failures.append((intended, now, what))
        if self.waiting:
            self.fire(*self.waiting.popleft())
        elif self.config["clients"] and now < self.ends:
            self.rest(max(self.think_s, AFTER_FAILURE_S))

    def close(self, connection: Connection) -> None:
        """Nothing is returned; the connection is gone."""
        if self.connections.pop(connection.fd, None):
            self.poll.remove(connection.fd)
            connection.socket.close()
            connection.intended = -1.0

    def tick(self, now: float) -> None:
        """Nothing is returned; what takes too long has failed, and what was noted so far is sent to whoever looks on."""
        self.next_tick = now + TICK_S
        before = now - self.config["timeout_s"]
        for connection in [each for each in self.connections.values() if 0 < each.intended and each.sent < before]:
            self.fail(connection, "timeout")
        while self.waiting and self.waiting[0][0] < before:
            self.failures.append((self.waiting.popleft()[0], now, "timeout"))
        if self.config["live"]:
            self.flush(False)

    def flush(self, last: bool) -> None:
        """Nothing is returned; the records have left, and begin anew. Times count from the start of the schedule."""
        columns = self.columns
        for name in ("intended", "sent", "done"):
            columns[name] = array("d", [at - self.started for at in columns[name]])
        message = {"records": len(columns["done"]),
                   "failures": [(at - self.started, found - self.started, what) for at, found, what in self.failures]}
        if last:
            message["end"] = {"cpu_s": time.process_time() - self.cpu_began, "wall_s": clock() - self.began,
                              "connections": self.opened, "stopped": self.stopped.is_set(),
                              "offered_s": self.offered_s, "unanswered": self.under_way + len(self.waiting)}
        self.say(message, list(columns.values()))
        self.clear()


# ------------------------------------------------------------------ the process

def main() -> None:
    """Nothing is returned; one run has taken place."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(message: dict, columns: list[array]) -> None:
        output.write(json.dumps(message).encode() + b"\n")
        for column in columns:
            output.write(column.tobytes())
        output.flush()

    config = json.loads(sys.stdin.buffer.readline())
    schedule = array("d")
    schedule.frombytes(sys.stdin.buffer.read(config["schedule_bytes"]))
    run = Run(config, say)
    threading.Thread(target=obey, args=(run,), daemon=True).start()
    with exact_timers():
        run.go(schedule)


def obey(run: Run) -> None:
    """Nothing is returned; the run ends early when told to, and the process with its input."""
    while line := os.read(0, 100):
        if b"stop" in line:
            run.stopped.set()
    os._exit(1)


class exact_timers:
    """While it lasts, Windows wakes sleepers to the millisecond, not to the sixtieth of a second."""

    def __enter__(self) -> None:
        if sys.platform == "win32":
            import ctypes
            ctypes.windll.winmm.timeBeginPeriod(1)

    def __exit__(self, *error: object) -> None:
        if sys.platform == "win32":
            import ctypes
            ctypes.windll.winmm.timeEndPeriod(1)


if __name__ == "__main__":
    main()
