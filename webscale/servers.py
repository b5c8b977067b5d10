"""Real servers, started in the background from a cell: `shop = serve("01-monolith")`.

Each server is a process of its own, on a free port of this machine, and is gone with the notebook however that ends.
"""
import json
import linecache
import os
import sys
import weakref
from dataclasses import asdict, dataclass, field
from pathlib import Path

from webscale import stages
from webscale.background import ServeError, Server
from webscale.replicas import Replicas

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BASE = EXAMPLES / "01-monolith"   # whatever is served has this one's limits for headers and connections


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
          write_ms: float = 0) -> Server | Replicas:
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
        return remembered(Server(stage, {"base": str(BASE), "stage": {"name": stage, "source": source_of(stage)}}, {}))
    folder = folder_of(example)
    change = {"without": list(without), "add": [added(name, place) for name, place in (add or {}).items()]}
    what = {"base": str(BASE), "folder": str(folder), **change, "machine": machine(service_ms, service, write_ms)}
    if replicas is not None:
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


def remembered(server: Server | Replicas) -> Server | Replicas:
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
