"""What is noted while a recorded request passes a stage, and how that becomes a record that JSON can carry.

While the request runs only references are kept; they are described after the response, so that
describing them costs no stage any time.
"""
import functools
import secrets
import sys
import time
from inspect import Signature
from pathlib import Path
from types import CodeType, FunctionType

from starlette.types import Message, Receive, Scope, Send

from webscale.lines import Stepped, current
from webscale.pieces import piece_around, whole_class_or_function
from webscale.shown import masked_path, shown, shown_headers

# What Starlette itself keeps in the scope.
STARLETTES_OWN = {"app", "router", "route", "endpoint", "path_params", "state", "starlette.exception_handlers"}


class Recording:
    """One request that is recorded: its spans, and what can only be said when it is over."""

    def __init__(self, trace_id: str, scope: Scope) -> None:
        self.trace_id, self.scope = trace_id, scope
        self.state = dict(scope.get("state", {}))   # what the server put there before any stage did
        self.unix_ns, self.start_ns = time.time_ns(), time.perf_counter_ns()
        self.spans: list[Span] = []
        self.status: int | None = None

    def as_json(self) -> dict:
        """The record, without anything that has to stay in the server."""
        path = self.scope["path"]
        query = self.scope.get("query_string", b"").decode("latin-1")
        dropped = {span.id: span.parent for span in self.spans if span.is_dropped()}
        pieces: dict[str, dict] = {}
        spans = [span.as_json(pieces) for span in self.spans if span.id not in dropped]
        for span in spans:
            while span["parent"] in dropped:
                span["parent"] = dropped[span["parent"]]
        return {"trace_id": self.trace_id, "method": self.scope["method"], "path": masked_path(f"{path}?{query}"),
                "status": self.status, "route": getattr(self.scope.get("route"), "path", None),
                "unix_ns": self.unix_ns, "start_ns": self.start_ns, "spans": spans, "pieces": pieces}


class Span:
    """From when to when a stage ran, and within which other."""

    tried = ()

    def __init__(self, recording: Recording, parent: str, kind: str, name: str, code: CodeType | None) -> None:
        self.recording, self.parent, self.kind, self.name, self.code = recording, parent, kind, name, code
        self.id = secrets.token_hex(8)
        self.filename = code.co_filename if code else ""
        self.lines: set[int] = set()
        self.codes: set[CodeType] = set()
        self.error: str | None = None
        self.start_ns = self.end_ns = 0
        recording.spans.append(self)

    def __enter__(self):
        self.outer = current.get()
        current.set(self)
        self.start_ns = time.perf_counter_ns()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.end_ns = time.perf_counter_ns()
        self.error = kind and kind.__name__   # the message may hold what somebody sent, so it stays here
        current.set(self.outer)

    def is_dropped(self) -> bool:
        """Whether the span is of no interest after all."""
        return False

    def as_json(self, pieces: dict[str, dict]) -> dict:
        """The span's part of the record; the source that it ran is added to the pieces."""
        found = {"id": self.id, "parent": self.parent, "kind": self.kind, "name": self.name, "file": shown_file(self.filename),
                 "start_ns": self.start_ns, "end_ns": self.end_ns or time.perf_counter_ns(), "lines": sorted(self.lines),
                 "pieces": self.add_pieces(pieces)}
        return {**found, "error": self.error, **self.facts()}

    def facts(self) -> dict:
        """What only this kind of span has to tell."""
        return {}

    def add_pieces(self, pieces: dict[str, dict]) -> list[str]:
        """The keys, in the pieces, of the code that belongs to the stage."""
        keys = []
        for piece in self.own_pieces():
            key = f"{shown_file(self.filename)}:{piece['first_line']}"
            pieces[key] = piece
            keys.append(key)
        return keys

    def own_pieces(self) -> list[dict]:
        """The stage's source, and that of the functions of its file which it ran and which are no stages themselves."""
        if self.code is None:
            return []
        own = self.home()
        others = {code.co_firstlineno for code in self.codes}
        found = [own] if own else []
        for line in sorted(others):
            piece = piece_around(self.filename, line)
            if piece and not any(line in lines_in(each) for each in found):
                found.append(piece)
        return found

    def home(self) -> dict | None:
        """The stage's own source."""
        return whole_class_or_function(self.filename, self.code.co_firstlineno)


def lines_in(piece: dict) -> range:
    """The line numbers of a piece."""
    return range(piece["first_line"], piece["first_line"] + len(piece["source"]))


class FunctionSpan(Span):
    """A function of the application: what it was given, and what it returned."""

    def __init__(self, args: tuple, kwargs: dict, kind: str, name: str, function: FunctionType, signature: Signature) -> None:
        outer = current.get()
        super().__init__(outer.recording, outer.id, kind, name, function.__code__)
        self.layer = outer.layer
        self.args, self.kwargs, self.signature = args, kwargs, signature
        self.result: object = NOTHING

    def returned(self, result: object) -> object:
        """The result, which is kept to be described."""
        self.result = result
        return result

    def facts(self) -> dict:
        given = self.given()
        facts = {"came_in": {name: shown(value, name) for name, value in given.items() if name != "sql"}}
        if self.result is not NOTHING:
            last = self.name.rpartition(".")[2]
            facts |= {"out": {"returns": shown(self.result, last)}, "result": type(self.result).__name__}
        if self.kind == "database" and isinstance(given.get("sql"), str):
            facts |= {"sql": given["sql"], "rows": row_count(self.result)}
        return facts

    def given(self) -> dict[str, object]:
        """The arguments by name, those of ** among them; without self."""
        try:
            bound = self.signature.bind(*self.args, **self.kwargs).arguments
        except TypeError:   # a wrong call; the error was the function's own
            return {}
        more = [name for name, parameter in self.signature.parameters.items() if parameter.kind is parameter.VAR_KEYWORD]
        flat = {**bound, **bound.get(more[0], {})} if more else bound
        return {name: value for name, value in flat.items() if name not in ("self", "cls", *more)}

    def home(self) -> dict | None:
        return piece_around(self.filename, self.code.co_firstlineno)


NOTHING = object()


def row_count(result: object) -> int:
    """How many rows a database call returned."""
    return len(result) if isinstance(result, list) else 0 if result is None or result is NOTHING else 1


class LayerSpan(Span):
    """A layer of the onion: what it was given and handed on, and what became of the response on its way out."""

    def __init__(self, recording: Recording, parent: str, kind: str, name: str, code: CodeType | None, scope: Scope,
                 dull: bool = False) -> None:
        super().__init__(recording, parent, kind, name, code)
        self.layer, self.dull, self.tried = self, dull, []
        self.scope_in, self.scope_on = snapshot(scope), None
        self.handed_on_ns: int | None = None
        self.got_back_ns: int | None = None
        self.start_in: tuple | None = None    # status and headers of the response, as the next layer sent them …
        self.start_out: tuple | None = None   # … and as this layer sent them
        self.ways: dict[object, object] = {}

    def hands_on(self, scope: Scope) -> None:
        """Nothing is returned; noted that the next layer begins, and what it finds in the scope."""
        self.handed_on_ns, self.scope_on = time.perf_counter_ns(), snapshot(scope)

    def gets_back(self) -> None:
        """Nothing is returned; noted that the next layer is done."""
        self.got_back_ns = time.perf_counter_ns()

    def receiving(self, receive: Receive) -> Receive:
        """The receive to be given to this layer."""
        async def given() -> Message:
            return await receive()
        self.ways[given] = receive
        return given

    def sending(self, send: Send) -> Send:
        """The send to be given to this layer: what comes here is what the layer itself sends."""
        async def given(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.start_out = (message["status"], list(message.get("headers", ())))
            await send(message)
        self.ways[given] = send
        return given

    def receive_of(self, receive: Receive) -> Receive:
        """The receive that this layer gave to the next. If it is the layer's own, its time is the layer's."""
        if receive in self.ways:
            return self.ways[receive]

        async def recorded() -> Message:
            with PartSpan(self, "receive"):
                return await stepped(receive())
        return recorded

    def send_of(self, send: Send) -> Send:
        """The send that this layer gave to the next. If it is the layer's own, its time is the layer's."""
        if send in self.ways:
            return self.ways[send]

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.start_in = (message["status"], list(message.get("headers", ())))
            with PartSpan(self, "send"):
                await stepped(send(message))
        return recorded

    def is_dropped(self) -> bool:
        return self.dull and not self.has_answered()

    def has_answered(self) -> bool:
        """Whether the response was made in this layer, not behind it."""
        return self.start_out is not None and self.start_in is None

    def facts(self) -> dict:
        if self.kind in ("server", "controller", "app"):
            return {}
        if self.kind == "router":
            return {"tried": self.tried, "handed_on_ns": self.handed_on_ns, "got_back_ns": self.got_back_ns}
        before = self.recording.state
        state = {name: value for name, value in self.scope_in["state"].items() if before.get(name, NOTHING) is not value}
        return {"came_in": {"headers": shown_headers(self.scope_in["headers"]), "state": shown_fields(state)},
                "changed": shown_fields(changes(self.scope_in, self.scope_on)), "out": self.changes_of_response(),
                "answered": self.has_answered(), "handed_on_ns": self.handed_on_ns, "got_back_ns": self.got_back_ns}

    def changes_of_response(self) -> dict:
        """Status and headers that the response has since this layer."""
        if self.start_out is None:
            return {}
        status, headers = self.start_out
        former_status, former_headers = self.start_in or (None, [])
        new = shown_headers(header for header in headers if header not in former_headers)
        return {**({"status": status} if status != former_status else {}), **({"headers": new} if new else {})}


class PartSpan(Span):
    """What a layer does with a message on its way: its time and its lines are the layer's."""

    def __init__(self, layer: LayerSpan, what: str) -> None:
        super().__init__(layer.recording, current.get().id, layer.kind, f"{layer.name} {what}", layer.code)
        self.layer, self.lines, self.codes = layer, layer.lines, layer.codes

    def is_dropped(self) -> bool:
        return self.layer.is_dropped()

    def as_json(self, pieces: dict[str, dict]) -> dict:
        return {"id": self.id, "parent": self.parent, "of": self.layer.id, "kind": self.kind, "name": self.name,
                "start_ns": self.start_ns, "end_ns": self.end_ns or time.perf_counter_ns()}


async def stepped(awaitable) -> object:
    """What the awaitable returns; if it is a coroutine its lines are recorded."""
    return await (Stepped(awaitable) if hasattr(awaitable, "throw") else awaitable)


def snapshot(scope: Scope) -> dict:
    """The scope as it is now."""
    return {**scope, "state": dict(scope.get("state", {})), "headers": list(scope["headers"])}


def changes(before: dict, after: dict | None) -> dict:
    """What is new or another in the request's state, or elsewhere in its scope."""
    if after is None:
        return {}
    elsewhere = {name: value for name, value in after.items() if name not in STARLETTES_OWN and differs(before, name, value)}
    return {**{name: value for name, value in after["state"].items() if differs(before["state"], name, value)}, **elsewhere}


def differs(before: dict, name: str, value: object) -> bool:
    """Whether the name stood for something else, or nothing, before."""
    former = before.get(name, NOTHING)
    return former is not value and not (isinstance(value, (list, str, bytes)) and former == value)


def shown_fields(fields: dict) -> dict:
    """The fields as they may be shown."""
    return {name: shown_headers(value) if name == "headers" else shown(value, name) for name, value in fields.items()}


@functools.cache
def shown_file(filename: str) -> str:
    """The file from the application's folder or from the library's on: shop/catalog/feature.py."""
    if not filename or filename.startswith("<"):
        return filename
    path = Path(filename)
    for folder in sorted(map(Path, filter(None, sys.path)), key=lambda folder: len(folder.parts), reverse=True):
        if folder in path.parents:
            return path.relative_to(folder).as_posix()
    return path.name
