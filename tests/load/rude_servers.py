"""Servers that do not behave, and a look at our own processes."""
import socket
import threading
from contextlib import contextmanager

import psutil

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def rude(answer):
    """The URL of a server that does answer(connection) with each connection that it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def accept():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection):
            with connection:
                try:
                    answer(connection)
                except OSError:
                    pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def politely(connection, answer=OK):
    """Nothing is returned; each request on the connection got the answer."""
    while connection.recv(65_536):
        connection.sendall(answer)


def generators():
    """The load generators that run as our children."""
    return [child for child in psutil.Process().children() if "webscale.generator" in " ".join(child.cmdline())]
