"""Real servers, started in the background from a cell: `shop = serve("01-monolith")`.

Each server is a process of its own, on a free port of this machine, and is gone with the notebook however that ends.
"""
import json
import linecache
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import requests

from webscale import stages

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BASE = EXAMPLES / "01-monolith"   # whatever is served has this one's limits for headers and connections
READY_WITHIN_S = 20
STOPPED_WITHIN_S = 5    # after "stop": two seconds for the requests under way, the rest for the lifespan's end
LEFT_WITHIN_S = 2       # after the end of its input; what has not left by then is killed
TRACES_KEPT = 1_000


class ServeError(Exception):
    """A server that did not start, with what to do about it; `.log` is the path of its log."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.log = log


@dataclass(frozen=True)
class Place:
    """Where in the stack of middleware a new one goes, and what it is made with."""

    place: str
    of: str
    options: dict = field(default_factory=dict)


def before(name: str, **options: object) -> Place:
    """The place just outside the middleware of that name: requests meet the new one first."""
    return Place("before", name, options)


def after(name: str, **options: object) -> Place:
    """The place just inside the middleware of that name: requests meet the new one next."""
    return Place("after", name, options)


def serve(example: str | Path = "01-monolith", *, stage: str | None = None, settings: dict | None = None,
          without: list[str] | tuple[str, ...] = (), add: dict[str, Place] | None = None, replicas: int | None = None,
          balance: str = "least-connections", service_ms: float = 0, service: str = "fixed",
          write_ms: float = 0) -> "Server":
    """A running server: of an example, with middleware taken away or added, or of the reader's own stage.

    With `replicas` several of them behind a balancer (`webscale.replicas`). With `service_ms` each is an emulated machine,
    which serves one request at a time, for so long on average (`service` is fixed or exponential); `write_ms` is how long
    each transaction holds its locks. ServeError says why it did not start and what to do.
    """
    ignore_proxies()
    stop_former_run_of_this_cell()
    if stage:
        if settings or without or add or replicas or service_ms or write_ms:
            raise ServeError("A stage is served as its cell says: settings, without, add, replicas, service_ms and "
                             "write_ms are for an example.")
        return remembered(Server(stage, {"stage": {"name": stage, "source": source_of(stage)}}, {}))
    folder = folder_of(example)
    change = {"without": list(without), "add": [added(name, place) for name, place in (add or {}).items()]}
    what = {"folder": str(folder), **change, "machine": machine(service_ms, service, write_ms)}
    if replicas is not None:
        from webscale.replicas import Replicas  # here, since it builds on this module
        return remembered(Replicas(folder.name, what, lambda more: variables(folder, {**more, **(settings or {})}),
                                   replicas, balance))
    return remembered(Server(folder.name, what, variables(folder, settings or {})))


def machine(service_ms: float, service: str, write_ms: float) -> dict:
    """What the launcher needs to know of an emulated machine; ServeError for what none can be."""
    for name, value in (("service_ms", service_ms), ("write_ms", write_ms)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 10_000:
            raise ServeError(f"{name} must be milliseconds from 0 to 10,000, not {value!r}.")
    if service not in ("fixed", "exponential"):
        raise ServeError(f"service is fixed or exponential, not {service!r}.")
    return {"service_ms": service_ms, "law": service, "write_ms": write_ms}


class Server:
    """A server that runs in the background: `.url`, `.stop()`, `.kill()`, `.log`; stopped at the end of a `with`."""

    def __init__(self, name: str, what: dict, environment: dict[str, str], module: str = "webscale.launcher") -> None:
        self.name = name
        self.scratch = Path(tempfile.mkdtemp(prefix="webscale-"))   # log and database; gone with the server
        self.log = self.scratch / "server.log"
        self.traces: deque[dict] = deque(maxlen=TRACES_KEPT)   # what the launcher's pipe brought, newest last
        self.process = start(module, self.scratch, self.log, environment)
        self.finalizer = weakref.finalize(self, end, self.process, self.scratch)
        running.add(self)
        try:
            self.port, self.pid = self.begin({"base": str(BASE), "scratch": str(self.scratch), **what})
        except BaseException:   # Interrupt, too
            self.finalizer()
            raise

    @property
    def url(self) -> str:
        """Where the server is, as in http://127.0.0.1:40123."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self.process.poll() is None

    def session(self) -> requests.Session:
        """A client that keeps its cookies and its connection, and asks no proxy."""
        session = requests.Session()
        session.trust_env = False
        return session

    def stop(self) -> None:
        """Nothing is returned; requests under way got two seconds to finish, and the server is gone."""
        if self.finalizer.alive:
            tell(self.process, b"stop")
            with suppress(subprocess.TimeoutExpired):   # the end of its input will not be overheard
                self.process.wait(STOPPED_WITHIN_S)
            self.finalizer()

    def kill(self) -> None:
        """Nothing is returned; the server is gone at once, in the middle of whatever it did."""
        self.process.kill()
        self.finalizer()

    def begin(self, configuration: dict) -> tuple[int, int]:
        """Port and process number, once the server listens; ServeError with its last words if it never does."""
        ready = queue.SimpleQueue()
        threading.Thread(target=listen, args=(self.process.stdout, ready, self.traces), daemon=True).start()
        tell(self.process, json.dumps(configuration).encode())
        try:
            message = ready.get(timeout=READY_WITHIN_S)
        except queue.Empty:
            raise self.failed(f"was not ready within {READY_WITHIN_S} s", "Find out what its start waits for") from None
        if message is None:   # the pipe was closed: the process has ended
            raise self.failed("did not start", "Mend that")
        return message["port"], message["pid"]

    def failed(self, what: str, cure: str) -> ServeError:
        """The error that says what happened; the log stays for as long as the error does."""
        self.finalizer.detach()
        self.process.kill()   # told to leave, it would take the log with it
        leave(self.process)
        error = ServeError(f"{self.name} {what}. Its last words were:\n  {last_words(self.log)}\n"
                           f"{cure} and run the cell again; the whole log is at error.log.", self.log)
        weakref.finalize(error, shutil.rmtree, self.scratch, ignore_errors=True)
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self.alive:
            return f"<{self.name} at {self.url}, running>"
        died = self.finalizer.alive   # nobody stopped it
        return f"<{self.name}, {f'died with code {self.process.returncode}' if died else 'stopped'}>"


def start(module: str, scratch: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen:
    """The module's process, which waits to be told what to serve."""
    # A group of its own: Jupyter's Interrupt is sent to the kernel's whole group and must not reach the servers.
    own_group = ({"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32"
                 else {"start_new_session": True})
    with open(log, "wb") as file:
        return subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=file, env={**os.environ, **environment}, cwd=scratch,
                                **own_group)


def listen(pipe: BinaryIO, ready: queue.SimpleQueue, traces: deque) -> None:
    """Nothing is returned; runs in a thread for as long as the launcher's pipe is open."""
    with pipe:
        for line in pipe:
            if not line.endswith(b"\n"):   # killed in the middle of a word
                break
            message = json.loads(line)
            if "ready" in message:
                ready.put(message["ready"])
            else:
                traces.append(message["trace"])
    ready.put(None)


def tell(process: subprocess.Popen, line: bytes) -> None:
    """Nothing is returned; a process that is gone hears nothing."""
    with suppress(OSError):
        process.stdin.write(line + b"\n")
        process.stdin.flush()


def end(process: subprocess.Popen, scratch: Path) -> None:
    """Nothing is returned; process and folder are gone. Called once for each server, whatever became of it."""
    leave(process)
    shutil.rmtree(scratch, ignore_errors=True)


def leave(process: subprocess.Popen) -> None:
    """Nothing is returned; the process has ended."""
    with suppress(OSError):
        process.stdin.close()   # the launcher leaves when its input ends
    try:
        process.wait(LEFT_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(log: Path) -> str:
    """The last line of the log that says why, which uvicorn's closing line does not."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    reasons = [line for line in lines if line and not line.startswith("ERROR:    Application startup failed")]
    return reasons[-1] if reasons else "(it said nothing)"


def folder_of(example: str | Path) -> Path:
    """The example's folder: of that name in examples/, or the path itself."""
    folder = example if isinstance(example, Path) else EXAMPLES / example
    if not folder.is_dir():
        names = sorted(path.parents[1].name for path in EXAMPLES.glob("*/*/app.py"))
        raise ServeError(f"There is no example {folder.name!r}. There are: {', '.join(names)}; "
                         "for a folder of your own give its Path.")
    return folder.resolve()


def variables(folder: Path, settings: dict) -> dict[str, str]:
    """The settings as the example's environment variables: SHOP_SEED for seed."""
    prefix = next((path.parent.name.upper() for path in folder.glob("*/app.py")), "")
    return {f"{prefix}_{name.upper()}": str(value) for name, value in settings.items()}


def added(name: str, place: Place) -> dict:
    """What the launcher needs to know of a middleware that the reader adds."""
    if not isinstance(place, Place):
        raise ServeError(f'Say where {name} goes, as in add={{"{name}": before("Authentication")}}; '
                         f"{place!r} is no place.")
    try:
        json.dumps(place.options)
    except TypeError as error:
        raise ServeError(f"The options of {name} travel to the server's process as JSON: {error}. "
                         "Give numbers, texts, lists and dicts; anything else belongs into the stage's cell.") from None
    return {"name": name, "source": source_of(name), **asdict(place)}


def source_of(stage: str) -> str:
    """The source of the reader's stage."""
    if stage not in stages.sources:
        there_are = ", ".join(stages.sources) or "none yet"
        raise ServeError(f"There is no stage {stage!r}; there are: {there_are}. "
                         f"Run the cell that starts with %%stage {stage} first.")
    return stages.sources[stage]


def ignore_proxies() -> None:
    """Nothing is returned; from now on no client in this process asks a proxy for 127.0.0.1."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        if "127.0.0.1" not in hosts:
            os.environ[name] = ",".join([*hosts, "127.0.0.1"])


# A cell that is run again must not leave the servers of its former run behind. Most go when their variable
# gets a new value, but IPython keeps what a cell displayed: so each cell's servers are noted with the run they are of.
of_cells: dict[str, tuple[int, list[weakref.ref]]] = {}


def stop_former_run_of_this_cell() -> None:
    """Nothing is returned; servers that an earlier run of the calling cell started are gone."""
    cell, run = calling_cell()
    former_run, servers = of_cells.get(cell, (run, []))
    if former_run != run:
        del of_cells[cell]
        for server in servers:
            if server():
                server().finalizer()


def remembered(server: Server) -> Server:
    """The server, noted as its cell's."""
    cell, run = calling_cell()
    if cell:
        of_cells.setdefault(cell, (run, []))[1].append(weakref.ref(server))
    return server


def calling_cell() -> tuple[str, int]:
    """What tells the cell that is running from others, and the number of its run; ("", 0) outside of IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return "", 0
    message = getattr(shell, "get_parent", dict)()   # JupyterLab's names the cell, which is then known even when edited
    return message.get("metadata", {}).get("cellId") or source_of_calling_cell(shell), shell.execution_count


def source_of_calling_cell(shell: object) -> str:
    """The text of the cell that calls us; "" if none does."""
    frame, filename = sys._getframe(), ""
    while frame:
        if frame.f_globals is shell.user_ns:
            filename = frame.f_code.co_filename   # the outermost is the cell itself; others are functions it calls
        frame = frame.f_back
    return "".join(linecache.getlines(filename))


running: "weakref.WeakSet[Server]" = weakref.WeakSet()


def let_go() -> None:
    """Nothing is returned; this process, a forked child, keeps no server alive and ends none."""
    for server in running:
        server.finalizer.detach()
        server.process.stdin.raw.close()


if hasattr(os, "register_at_fork"):   # multiprocessing forks on some systems; a child may outlive the notebook's kernel
    os.register_at_fork(after_in_child=let_go)
