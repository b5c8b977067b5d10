"""The load balancer, in a process of its own: it hands each connection to one of the replicas.

Started by `webscale.replicas` as `python -m webscale.balancer`. It works on connections and looks at no request (layer 4):
whoever keeps a connection keeps its replica. Its input says which replicas there are; at the input's end it leaves.
"""
import asyncio
import json
import os
import random
import socket
import sys
import threading
from collections.abc import Callable
from itertools import count

Policy = Callable[[list["Replica"]], "Replica"]


class Replica:
    """A server that connections are handed to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0   # open now


def round_robin() -> Policy:
    """Each in turn."""
    turn = count()
    return lambda replicas: replicas[next(turn) % len(replicas)]


def least_connections() -> Policy:
    """The one with the fewest connections; the longest known of several."""
    return lambda replicas: min(replicas, key=lambda replica: replica.connections)


def power_of_two() -> Policy:
    """Of two drawn at random, the one with fewer connections (Mitzenmacher 2001)."""
    return lambda replicas: min(random.sample(replicas, min(2, len(replicas))), key=lambda replica: replica.connections)


POLICIES = {"round-robin": round_robin, "random": lambda: random.choice, "least-connections": least_connections,
            "power-of-two": power_of_two}


# ------------------------------------------------------------------ two halves of a connection

class Half(asyncio.Protocol):
    """One side of a connection: what arrives here leaves on the other side."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self.early = b""   # arrived before the other side was there

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        if sock := transport.get_extra_info("socket"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """False: the transport closes by itself, and connection_lost tells the other side."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self.other:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other:
            self.other.transport.resume_reading()


class ToClient(Half):
    """The client's side, which looks for a replica as soon as it is there."""

    def __init__(self, balancer: "Balancer") -> None:
        super().__init__()
        self.balancer = balancer

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.connecting = asyncio.ensure_future(self.balancer.connect(self))

    def connection_lost(self, error: Exception | None) -> None:
        self.connecting.cancel()
        super().connection_lost(error)


class ToReplica(Half):
    """The replica's side, which counts as one of its connections."""

    def __init__(self, replica: Replica) -> None:
        super().__init__()
        self.replica = replica

    def connection_lost(self, error: Exception | None) -> None:
        self.replica.connections -= 1
        super().connection_lost(error)


class Balancer:
    """The replicas, and the policy by which connections are handed to them."""

    def __init__(self, policy: str, ports: list[int]) -> None:
        self.choose = POLICIES[policy]()
        self.replicas = [Replica(port) for port in ports]

    def obey(self, order: dict) -> None:
        """Nothing is returned; there is one replica more or less from now on. Connections that are open stay."""
        if "add" in order:
            self.replicas.append(Replica(order["add"]))
        if "remove" in order:
            self.replicas = [replica for replica in self.replicas if replica.port != order["remove"]]

    async def connect(self, client: Half) -> None:
        """Nothing is returned; the client has a replica, or its connection is closed because none can be reached."""
        candidates = list(self.replicas)
        while candidates:
            replica = self.choose(candidates)
            replica.connections += 1   # now: others choose before this one is connected
            try:
                loop = asyncio.get_running_loop()
                _, other = await loop.create_connection(lambda: ToReplica(replica), "127.0.0.1", replica.port)
            except OSError:   # it has died: the next one, please
                replica.connections -= 1
                candidates.remove(replica)
                continue
            except asyncio.CancelledError:   # the client has gone
                replica.connections -= 1
                raise
            return self.join(client, other)
        client.transport.close()

    def join(self, client: Half, other: Half) -> None:
        """Nothing is returned; the two are sides of one connection from now on."""
        client.other, other.other = other, client
        if client.transport.is_closing():
            return other.transport.close()
        if client.early:
            other.transport.write(client.early)
            client.early = b""


# ------------------------------------------------------------------ the process

async def balance(configuration: dict, orders: "asyncio.Queue[dict]", say: Callable[[dict], None]) -> None:
    """Nothing is returned; connections are handed out until the process ends."""
    balancer = Balancer(configuration["policy"], configuration["ports"])
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = await asyncio.get_running_loop().create_server(lambda: ToClient(balancer), sock=listening)
    say({"ready": {"port": listening.getsockname()[1], "pid": os.getpid()}})
    async with server:
        while True:
            balancer.obey(await orders.get())


def main() -> None:
    """Nothing is returned; the process ends with its input."""
    configuration = json.loads(sys.stdin.buffer.readline())

    def say(message: dict) -> None:
        print(json.dumps(message), flush=True)

    async def run() -> None:
        orders: asyncio.Queue[dict] = asyncio.Queue()
        threading.Thread(target=listen, args=(asyncio.get_running_loop(), orders), daemon=True).start()
        await balance(configuration, orders, say)

    try:
        import uvloop
    except ImportError:   # Windows
        asyncio.run(run())
    else:
        uvloop.run(run())


def listen(loop: asyncio.AbstractEventLoop, orders: "asyncio.Queue[dict]") -> None:
    """Nothing is returned; each line of the input is an order, and its end the end of the process."""
    for line in sys.stdin.buffer:
        if line.strip() == b"stop":
            break
        loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
