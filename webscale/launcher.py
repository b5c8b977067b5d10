"""What runs inside a server's process: it loads an application, serves it on a free port, and leaves with its notebook.

Started by `webscale.servers` as `python -m webscale.launcher`. Its first line of input says what to serve; a line "stop"
asks it to finish what is under way; the end of the input, however it came, makes it leave at once. What it has to say
(that it is ready, what a traced request did) leaves as lines of JSON by a pipe of its own, which no print() can reach.
"""
import importlib
import json
import linecache
import os
import shutil
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from webscale import machines, recorder


def main() -> None:
    """Nothing is returned; the process ends with 0 after a stop, with 1 when it could not start."""
    say = pipe_of_our_own()
    lines = input_lines()
    try:
        code = serve(json.loads(next(lines)), lines, say)
    except BaseException:   # an application's sys.exit(), too
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)   # an application's forgotten threads keep nobody waiting


def pipe_of_our_own() -> Callable[[dict], None]:
    """A function that sends a message to the notebook; whatever else is printed goes to the log from now on."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for log in (sys.stdout, sys.stderr):   # each line at once, and no character that would raise, as on Windows
        log.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    lock = threading.Lock()

    def say(message: dict) -> None:
        with lock:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
    return say


def input_lines() -> Iterator[bytes]:
    """The lines that the notebook sends, until the end of the pipe."""
    waiting = b""
    while piece := os.read(0, 65_536):   # not sys.stdin: its lock would be held for as long as we wait
        *lines, waiting = (waiting + piece).split(b"\n")
        yield from lines


def serve(configuration: dict, lines: Iterator[bytes], say: Callable[[dict], None]) -> int:
    """The exit code, once the server has stopped."""
    stop = threading.Event()
    threading.Thread(target=obey, args=(lines, stop, configuration["scratch"]), daemon=True).start()
    sys.path.insert(0, configuration["base"])
    app = load(configuration, say)
    # The monolith's limits, or those of an edited copy; the reader's stages get them too.
    from shop.server import config, listener
    server = Server(config(app), say, stop)
    with suppress(SystemExit):   # uvicorn's way to say that the lifespan failed, once it has logged why
        server.run(sockets=[on_a_free_port(listener)])
    return 0 if server.started else 1


def obey(lines: Iterator[bytes], stop: threading.Event, scratch: str) -> None:
    """Nothing is returned: the server stops when told, and the process ends with the input."""
    for line in lines:
        if line == b"stop":
            stop.set()
    # The notebook's process is gone: whoever is still being served, nobody is left to see it.
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def on_a_free_port(listener: Callable[[int], socket.socket]) -> socket.socket:
    """A socket that listens on a port which nobody else has, and nobody can snatch."""
    try:
        return listener(0)
    except OSError as error:
        raise OSError(f"This machine gives us no free port ({error.strerror}). Stop servers that you no longer need, "
                      "or restart the kernel, which stops all of its own.") from None


class Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and stops when it is told to."""

    def __init__(self, config: uvicorn.Config, say: Callable[[dict], None], stop: threading.Event) -> None:
        super().__init__(config)
        self.say, self.stop = say, stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.say({"ready": {"port": sockets[0].getsockname()[1], "pid": os.getpid()}})

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now; asked ten times a second."""
        return await super().on_tick(counter) or self.stop.is_set()


# ------------------------------------------------------------------ what is served

def load(configuration: dict, say: Callable[[dict], None]) -> ASGIApp:
    """The application to serve, with its recorder around it."""
    if stage := configuration.get("stage"):
        app = application(stage["name"], run_stage(**stage))
    else:
        app = example(Path(configuration["folder"]))
        change_middleware(app, configuration["without"], configuration["add"])
    return machine(recorder.sampled(app, lambda trace: say({"trace": trace})), **configuration.get("machine", {}))


def machine(app: ASGIApp, number: int | None = None, service_ms: float = 0, law: str = "fixed", write_ms: float = 0) -> ASGIApp:
    """The application on a machine of its own: with its number, and as slow as was asked for."""
    if write_ms:
        machines.hold_writes(importlib.import_module("shop.database"), write_ms)
    if service_ms:
        app = machines.OneAtATime(app, service_ms, law, seed=number or 0)
    return app if number is None else machines.Signed(app, number)


def example(folder: Path) -> Starlette:
    """The application of an example's folder, made with the settings that stand in the environment."""
    package = package_in(folder)
    sys.path.insert(0, str(folder))
    recorder.install(package)
    settings = importlib.import_module(f"{package}.settings").Settings.from_environment()
    app = importlib.import_module(f"{package}.app").create_app(settings)
    if not callable(app):
        raise TypeError(f"create_app() in {package}/app.py must return an application; it returned {app!r}.")
    return app


def package_in(folder: Path) -> str:
    """The name of the one package in the folder that has an app.py."""
    packages = sorted(path.parent.name for path in folder.glob("*/app.py"))
    if len(packages) != 1:
        raise LookupError(f"The folder {folder.name} must hold one package with an app.py in it; "
                          f"it holds {', '.join(packages) or 'none'}.")
    return packages[0]


def change_middleware(app: Starlette, without: list[str], add: list[dict]) -> None:
    """Nothing is returned; the application has lost and gained the given layers."""
    for name in without:
        del app.user_middleware[place_of(app, name)]
    for new in add:
        layer = Middleware(middleware(new["name"], run_stage(new["name"], new["source"])), **new["options"])
        app.user_middleware.insert(place_of(app, new["of"]) + (new["place"] == "after"), layer)


def place_of(app: Starlette, name: str) -> int:
    """Where the middleware stands in the application's list; LookupError if it does not."""
    names = [layer.cls.__name__ for layer in app.user_middleware]
    if name not in names:
        raise LookupError(f"There is no middleware {name!r} here; there are: {', '.join(names) or 'none'}.")
    return names.index(name)


# ------------------------------------------------------------------ the reader's own

def run_stage(name: str, source: str) -> ModuleType:
    """The module that a notebook's cell makes when it is run here."""
    module = sys.modules[f"stage_{name}"] = ModuleType(f"stage_{name}")
    filename = f"<stage {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        exec(compile(source, filename, "exec"), vars(module))
    except NameError as error:
        raise NameError(f"{error}. A stage runs in a process of its own: "
                        "its cell must import or define all that it uses.") from error
    return module


def application(name: str, stage: ModuleType) -> ASGIApp:
    """What the stage serves: `app` if it has one, else what is called as the stage."""
    app = getattr(stage, "app", None) or getattr(stage, name, None)
    if isinstance(app, type) or not callable(app):
        raise LookupError(f"The stage {name} has no application: "
                          f"define one called app, or an async function called {name}, in its cell.")
    return app


def middleware(name: str, stage: ModuleType) -> Callable[..., ASGIApp]:
    """The stage's class of its own name."""
    made = getattr(stage, name, None)
    if not callable(made):
        raise LookupError(f"The stage {name} has no middleware: define a class called {name} in its cell.")
    return made


if __name__ == "__main__":
    main()
