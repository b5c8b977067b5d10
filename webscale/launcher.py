"""What runs inside a server's process: it loads an application, serves it on a free port, and leaves when its notebook does.

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
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

BACKLOG = 2048   # connections that wait to be accepted


def main() -> None:
    """Nothing is returned; the process ends with 0 after a stop, with 1 when it could not start."""
    say = pipe_of_our_own()
    lines = input_lines()
    configuration = json.loads(next(lines))
    try:
        code = serve(configuration, lines, say)
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)   # an application's forgotten threads keep nobody waiting


def pipe_of_our_own() -> Callable[[dict], None]:
    """A function that sends a message to the notebook; whatever else is printed goes to the log from now on."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(message: dict) -> None:
        with lock:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
    return say


def input_lines():
    """The lines that the notebook sends, until its end closes the pipe."""
    waiting = b""
    while piece := os.read(0, 65_536):
        *lines, waiting = (waiting + piece).split(b"\n")
        yield from lines


def serve(configuration: dict, lines, say: Callable[[dict], None]) -> int:
    """The exit code, once the server has stopped."""
    import uvicorn
    sys.path.insert(0, configuration["base"])
    listener = free_port()
    app = load(configuration, say)

    class Server(uvicorn.Server):
        """uvicorn's server, which says when it is ready."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                say({"ready": {"port": listener.getsockname()[1], "pid": os.getpid()}})

    from shop import server as limits   # the monolith's: a reader's own application gets the same ones
    server = Server(limits.config(app))
    threading.Thread(target=obey, args=(lines, server, configuration["scratch"]), daemon=True).start()
    server.run(sockets=[listener])
    return 0 if server.started else 1


def free_port() -> socket.socket:
    """A socket that listens on a port which nobody else has, and nobody can snatch."""
    try:
        return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"This machine gives us no free port ({error.strerror}). Stop servers that you no longer need, "
                      "or restart the kernel, which stops all of its own.") from None


def obey(lines, server, scratch: str) -> None:
    """Nothing is returned: the server stops when told, and the process ends with the input."""
    for line in lines:
        if line == b"stop":
            server.should_exit = True
    # The notebook's process is gone: whoever is still being served, nobody is left to see it.
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def load(configuration: dict, say: Callable[[dict], None]):
    """The application to serve, with its recorder around it."""
    from webscale import recorder
    stage = configuration["stage"]
    if stage:
        app = application(run_stage(**stage), stage["name"])
    else:
        app = example(Path(configuration["folder"]))
        change_middleware(app, configuration["without"], configuration["add"])
    return recorder.sampled(app, lambda trace: say({"trace": trace}))


def example(folder: Path):
    """The application of an example's folder, made with the settings that stand in the environment."""
    from webscale import recorder
    package = package_in(folder)
    sys.path.insert(0, str(folder))
    recorder.install(package)
    settings = importlib.import_module(f"{package}.settings").Settings.from_environment()
    return importlib.import_module(f"{package}.app").create_app(settings)


def package_in(folder: Path) -> str:
    """The name of the one package in the folder that has an app.py."""
    packages = [path.parent.name for path in folder.glob("*/app.py")]
    if len(packages) != 1:
        raise LookupError(f"{folder.name} must hold one package with an app.py; it holds {packages or 'none'}.")
    return packages[0]


def change_middleware(app, without: list[str], add: list[dict]) -> None:
    """Nothing is returned; the application has lost and gained the given layers."""
    from starlette.middleware import Middleware
    for name in without:
        del app.user_middleware[place_of(app, name)]
    for new in add:
        layer = Middleware(getattr(run_stage(new["name"], new["source"]), new["name"]), **new["options"])
        app.user_middleware.insert(place_of(app, new["of"]) + (new["place"] == "after"), layer)


def place_of(app, name: str) -> int:
    """Where the middleware stands in the application's list; LookupError if it does not."""
    names = [layer.cls.__name__ for layer in app.user_middleware]
    if name not in names:
        raise LookupError(f"There is no middleware {name!r} here; there are: {', '.join(names)}.")
    return names.index(name)


def run_stage(name: str, source: str) -> ModuleType:
    """The module that a notebook's cell makes when it is run here."""
    module = ModuleType(name)
    filename = f"<stage {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.modules[name] = module
    try:
        exec(compile(source, filename, "exec"), vars(module))
    except NameError as error:
        raise NameError(f"{error}. A stage runs in a process of its own: its cell must import or define all it uses.") from error
    return module


def application(module: ModuleType, name: str):
    """What the stage serves: `app` if it has one, else the function that is called as the stage."""
    app = getattr(module, "app", None) or getattr(module, name, None)
    if not callable(app) or isinstance(app, type):
        raise LookupError(f"The stage {name} has no application: define one called app, or a function called {name}.")
    return app


if __name__ == "__main__":
    main()
