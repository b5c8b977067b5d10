"""A server's process in the background: started, listened to, and gone with the notebook however that ends."""
import json
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
from pathlib import Path
from typing import BinaryIO, Self

import requests

READY_WITHIN_S = 20
STOPPED_WITHIN_S = 5    # after "stop": two seconds for the requests under way, the rest for the lifespan's end
LEFT_WITHIN_S = 2       # after the end of its input; what has not left by then is killed
TRACES_KEPT = 1_000


class ServeError(Exception):
    """A server that did not start, with what to do about it; `.log` is the path of its log."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.log = log


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
            self.port, self.pid = self.begin({"scratch": str(self.scratch), **what})
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


running: "weakref.WeakSet[Server]" = weakref.WeakSet()


def let_go() -> None:
    """Nothing is returned; this process, a forked child, keeps no server alive and ends none."""
    for server in running:
        server.finalizer.detach()
        server.process.stdin.raw.close()


if hasattr(os, "register_at_fork"):   # multiprocessing forks on some systems; a child may outlive the notebook's kernel
    os.register_at_fork(after_in_child=let_go)
