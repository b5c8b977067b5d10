"""The bytes of one request and its response as they went over the wire, and how to show them without their secrets."""
import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from webscale.shown import HEADERS, HIDDEN, SHOWN, clean, hidden_values, masked_json, masked_path, without


@dataclass
class Log:
    """All bytes of a connection, as they left and as they came."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class Tapped:
    """A socket that keeps a copy of all that passes through it."""

    def __init__(self, socket, log: Log) -> None:
        self.socket, self.log = socket, log

    def sendall(self, data, *flags) -> None:
        self.log.sent += data
        self.socket.sendall(data, *flags)

    def makefile(self, mode: str = "rb", buffering: int | None = None, **options) -> io.BufferedReader:
        """A file to read from, as http.client wants it."""
        return io.BufferedReader(TappedFile(self.socket.makefile("rb", buffering=0), self.log))

    def __getattr__(self, name: str) -> object:
        return getattr(self.socket, name)


class TappedFile(io.RawIOBase):
    """The socket's file, copied while it is read."""

    def __init__(self, file: io.RawIOBase, log: Log) -> None:
        self.file, self.log = file, log

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        count = self.file.readinto(buffer)
        self.log.received += bytes(buffer[:count or 0])
        return count

    def close(self) -> None:
        self.file.close()
        super().close()


def tapped_adapter(log: Log) -> HTTPAdapter:
    """What sends a session's requests over connections that are recorded."""
    class Connection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = Tapped(self.sock, log)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"http": Pool}
    return adapter


@contextmanager
def recorded(session: requests.Session, url: str) -> Iterator[Log]:
    """The log of what the session sends to the URL within the block."""
    log = Log()
    adapter = tapped_adapter(log)
    session.mount(url + "/", adapter)
    try:
        yield log
    finally:
        del session.adapters[url + "/"]
        adapter.close()


def session_of(server, session: requests.Session | None):
    """The reader's session, which stays open, or a fresh one, which does not."""
    return nullcontext(session) if session is not None else server.session()


# ------------------------------------------------------------------ without secrets

def secrets_of(request: requests.PreparedRequest, response: requests.Response) -> set[str]:
    """The texts that must not be shown: cookies both ways, credentials, and hidden fields of the request's body."""
    found = set(response.cookies.values())
    for part in request.headers.get("Cookie", "").split(";"):
        found.add(part.partition("=")[2].strip())
    found.add(request.headers.get("Authorization", "").rpartition(" ")[2])
    return {value for value in found | hidden_values(body_of(request)) if len(value) > 3}


def body_of(request: requests.PreparedRequest) -> object:
    """The request's body as JSON; None if it is something else."""
    try:
        return json.loads(request.body or "null")
    except (ValueError, TypeError, RecursionError):
        return None


def readable(data: bytes, secret: set[str]) -> str:
    """An HTTP message as text: headers that are not on the list and all secrets are hidden."""
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    lines = [readable_first(first), *map(readable_header, headers), "", masked_body(body.decode("utf-8", "replace"))]
    return without("\n".join(lines), secret)


def readable_first(line: str) -> str:
    """GET /orders?after=3 HTTP/1.1, or HTTP/1.1 200 OK."""
    method, _, rest = line.partition(" ")
    path, _, version = rest.rpartition(" ")
    return f"{method} {masked_path(path)} {version}" if path.startswith("/") else line


def readable_header(line: str) -> str:
    """The header, its value hidden if it is not on the list; of cookies the name and what the browser must obey."""
    name, _, value = line.partition(":")
    value = value.strip()
    if name.lower() in ("cookie", "set-cookie"):
        value = re.sub(r"^([^=;]*)=[^;]*", rf"\1={HIDDEN}", value)
    elif name.lower() not in HEADERS:
        value = HIDDEN
    return f"{name}: {clean(value)}"


def masked_body(text: str) -> str:
    """The body, JSON's and a form's hidden fields masked."""
    if text.lstrip()[:1] in ("{", "["):
        return masked_json(text)
    return re.sub(r"(?<![^&])([\w.-]+)=([^&\s]*)", lambda pair: pair[0] if pair[1] in SHOWN else f"{pair[1]}={HIDDEN}", text)


# ------------------------------------------------------------------ curl

def curl(request: requests.PreparedRequest, headers: Mapping, secret: set[str]) -> str:
    """The request as a line for a shell; its secrets are variables, to be set by whoever runs it."""
    url = request.url.removesuffix(request.path_url) + masked_path(request.path_url)
    method = [] if request.method == "GET" else ["-X", request.method]
    named = {name: value for name, value in headers.items() if name.lower() != "cookie"}
    if request.body and "Content-Type" not in named:
        named["Content-Type"] = request.headers.get("Content-Type", "text/plain")
    options = [f"-H {shlex.quote(readable_header(f'{name}: {value}'))}" for name, value in named.items()]
    cookies = [f'--cookie "{name}=${variable(name)}"' for name in cookie_names(request)]
    body = [f"-d {shell_body(request.body, secret)}"] if request.body else []
    return " ".join(["curl", *method, shlex.quote(url), *options, *cookies, *body])


def cookie_names(request: requests.PreparedRequest) -> list[str]:
    """The names of the cookies that go with the request."""
    return [part.partition("=")[0].strip() for part in request.headers.get("Cookie", "").split(";") if part]


def variable(name: str) -> str:
    """The shell's variable for a secret: $PASSWORD for password."""
    return re.sub(r"\W", "_", name).upper()


def shell_body(body: str | bytes, secret: set[str]) -> str:
    """The body in single quotes; where a secret was, they are interrupted for a variable."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    marked = masked_json(text, lambda key: f'"\0{variable(key)}\0"') if text.lstrip()[:1] in ("{", "[") else masked_body(text)
    quoted = "'" + without(marked, secret).replace("'", "'\"'\"'") + "'"
    return re.sub("\0(.*?)\0", r"""'"$\1"'""", quoted)
