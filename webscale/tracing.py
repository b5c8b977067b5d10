"""One real request and the way it took through a server: its stages in order, what each saw and added, its code, its time.

    trace = tracing.trace(server, "POST", "/orders", json={"lines": [{"product_id": 1, "quantity": 2}]})
    trace.table()
"""
import math
import re
import secrets
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests

from webscale import wire
from webscale.shown import masked_path
from webscale.source import Line, lines_of

RECORD_TIMEOUT_S = 2    # how long the server may take to send what it recorded, after its response
ANSWER_TIMEOUT_S = 30   # how long it may take to answer at all
LAYERS = ("middleware", "router", "app")
BRINGS_NONE = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b)", re.IGNORECASE | re.DOTALL)
REFUSED = "The server program answered by itself: this request never reached the application, so no stage saw it."


class Text(str):
    """Text that a notebook shows as it is, not as a quoted string."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Try:
    """One route that the router looked at."""

    methods: str   # "GET, HEAD"
    path: str      # "/products/{id:id}"
    match: str     # "FULL", "PARTIAL" (the path fits, the method does not) or "NONE"


@dataclass(frozen=True, repr=False)
class Stage:
    """One stage that the request passed: a middleware, the router, or a function of the application."""

    id: str                       # of its span: 16 hexadecimal digits
    parent: str | None            # the id of the stage that it ran in; None for the first
    depth: int                    # how many stages it ran in
    kind: str                     # client, server, middleware, router, controller, feature, crud, database, response, app
    name: str                     # "Sessions", "Router", "catalog.feature.product", "database.one", …
    file: str                     # "shop/catalog/feature.py"; "" where there is none
    start_ms: float               # since the client began
    end_ms: float
    own_ms: float                 # what it took, less what the stages within it took
    at_work: tuple[tuple[float, float], ...] = ()   # from when to when: together its own time
    came_in: dict = field(default_factory=dict)   # middleware: {"headers", "state"}; function: its arguments
    changed: dict = field(default_factory=dict)   # middleware: what it added to the request's state and headers
    out: dict = field(default_factory=dict)       # middleware: {"status", "headers"} it gave the response; function: {"returns"}
    result: str = ""              # the name of the type of what a function returned
    sql: str | None = None
    rows: int | None = None
    tried: tuple[Try, ...] = ()   # router only
    error: str | None = None      # the name of the exception that left it
    answered: bool = False        # a middleware that made the response itself
    handed_on_ms: float | None = None   # middleware: when the next layer got the request …
    got_back_ms: float | None = None    # … and when it gave it back
    helper: bool = False          # a function called from its own file: part of the stage that called it
    code: tuple[Line, ...] = ()   # its source; each Line has .number, .text, .ran

    @property
    def total_ms(self) -> float:
        """How long it took, with all the stages within it."""
        return self.end_ms - self.start_ms

    @property
    def text(self) -> str:
        """What it did, in one line, the same for every request that takes this way."""
        return described(self)

    def __repr__(self) -> str:
        return f"<{self.name}, {self.own_ms:.2f} ms>"


@dataclass(frozen=True, repr=False)
class Step:
    """One step of the way, as the stepper shows it: a middleware has one on the way in and one on the way out."""

    stage: Stage
    way: str      # "in" or "out"
    text: str     # what happened, in one line
    state: dict   # what the request's state holds once the stage is done

    @property
    def name(self) -> str:
        """The stage's name; with an arrow on the way out."""
        return f"← {self.stage.name}" if self.way == "out" else self.stage.name

    def __repr__(self) -> str:
        return f"<{self.name}: {self.text}>"


@dataclass(frozen=True, repr=False)
class Trace:
    """A request, its response, and the stages it passed in between."""

    id: str                        # 32 hexadecimal digits
    method: str
    path: str                      # e-mail addresses masked
    status: int | None
    route: str | None              # the path of the route that took it
    began_unix_ns: int             # when the client began
    stages: tuple[Stage, ...]      # in the order in which they began
    response: requests.Response | None = None
    curl: str = ""                 # the same request for a shell, its secrets as variables
    request_bytes: Text = Text()   # what went over the wire, secrets hidden
    response_bytes: Text = Text()
    note: str = ""                 # why there are no stages, where there are none

    @classmethod
    def from_record(cls, record: Mapping, **more: object) -> "Trace":
        """The trace that a server's recorder sent."""
        began = more.pop("began_unix_ns", record["unix_ns"])
        spans = [*client_span(record, began, more), *record["spans"]]
        return cls(id=record["trace_id"], method=record["method"], path=record["path"], status=record["status"],
                   route=record["route"], began_unix_ns=began, stages=tuple(stages(spans, record, began)), **more)

    @property
    def total_ms(self) -> float:
        """How long it took: as the client saw it, or the server if no client is known."""
        return self.stages[0].total_ms if self.stages else 0.0

    @property
    def steps(self) -> tuple[Step, ...]:
        """The way of the request, step by step, for the stepper."""
        return tuple(steps(self.stages))

    def stage(self, name: str) -> Stage:
        """The first stage of this name, such as "Sessions", "catalog.feature.product", or short "catalog.feature"."""
        for found in (stage for fits in (exactly, in_part) for stage in self.stages if fits(stage.name, name)):
            return found
        names = ", ".join(dict.fromkeys(stage.name for stage in self.stages))
        raise KeyError(f"{self!r} passed no stage {name!r}. It passed: {names or 'none'}.")

    def table(self, times: bool = True, helpers: bool = False) -> Text:
        """The stages, one a line, indented by what ran in what. Without times it is equal for equal requests."""
        return Text("\n".join([self.headline, *(rows_of(self.stages, times, helpers) or [self.note])]))

    @property
    def headline(self) -> str:
        """POST /orders → 201"""
        return f"{self.method} {self.path} → {self.status}"

    def source(self, name: str) -> Text:
        """The source of a stage; an arrow points at each line that ran."""
        stage = self.stage(name)
        return Text("\n".join([f"{stage.name}, {stage.file}", *map(marked, stage.code)]))

    def otlp(self) -> dict:
        """The trace as OpenTelemetry writes it in JSON, for Jaeger and others: SQL and row counts, but no values."""
        from webscale.otlp import export
        return export(self)

    def waterfall(self):
        """A figure: when each stage began and how long it took."""
        from webscale.charts import waterfall
        return waterfall(self)

    def stepper(self):
        """A widget that walks along the request's way."""
        from webscale.widgets import stepper
        return stepper(self)

    def __repr__(self) -> str:
        if self.note:
            return f"<{self.headline}, no stages>"
        return f"<{self.headline}, {len(shown_stages(self.stages))} stages, {self.total_ms:.1f} ms>"


# ------------------------------------------------------------------ sending the request

def trace(server, method: str, path: str, *, session: requests.Session | None = None, headers: Mapping | None = None,
          json: object = None, data: object = None, params: Mapping | None = None) -> Trace:
    """The trace of a real request to the server. Where the server refuses it unseen, a trace without stages says so."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    asked = {**(headers or {}), "traceparent": f"00-{trace_id}-{span_id}-01"}
    with wire.session_of(server, session) as session, wire.recorded(session, server.url) as log:
        request = session.prepare_request(requests.Request(method.upper(), server.url + path, asked, json=json, data=data,
                                                           params=params))
        began = time.time_ns()
        response = session.send(request, timeout=ANSWER_TIMEOUT_S, allow_redirects=False)
        ended = time.time_ns()
    secret = wire.secrets_of(request, response)
    client = {"began_unix_ns": began, "response": response, "curl": wire.curl(request, headers or {}, secret),
              "request_bytes": Text(wire.readable(log.sent, secret)),
              "response_bytes": Text(wire.readable(log.received, secret))}
    record = arrived(server, trace_id)
    if record is None:
        return Trace(trace_id, request.method, masked_path(request.path_url), response.status_code, None, stages=(),
                     note=REFUSED, **client)
    return Trace.from_record(record, client_id=span_id, ended_unix_ns=ended, **client)


def arrived(server, trace_id: str) -> dict | None:
    """The record of this trace, once the server has sent it; None if it does not come."""
    deadline = time.monotonic() + RECORD_TIMEOUT_S
    while True:
        for record in list(server.traces):
            if record["trace_id"] == trace_id:
                return record
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


# ------------------------------------------------------------------ from spans to stages

def client_span(record: Mapping, began: int, more: dict) -> Iterator[dict]:
    """The client's own span, where the client is known."""
    if client_id := more.pop("client_id", None):
        shift = record["start_ns"] - record["unix_ns"]   # from the wall's clock to the server's
        yield {"id": client_id, "parent": None, "kind": "client", "name": "client", "start_ns": began + shift,
               "end_ns": more.pop("ended_unix_ns") + shift}


def stages(spans: list[dict], record: Mapping, began_unix_ns: int) -> Iterator[Stage]:
    """A stage for each span; what a middleware did in `send` and `receive` belongs to its stage."""
    began = began_unix_ns + record["start_ns"] - record["unix_ns"]
    known = {span["id"]: span for span in spans}
    mains = [span for span in spans if "of" not in span]
    own = own_times(spans)
    children = {span["id"]: [child for child in mains if stage_id(known, child["parent"]) == span["id"]] for span in mains}
    for span in mains:
        yield stage_of(span, known, children[span["id"]], record.get("pieces", {}), own[span["id"]], began)


def own_times(spans: list[dict]) -> dict[str, list[tuple[int, int]]]:
    """For each stage from when to when, in nanoseconds, it was at work itself, and nothing that ran within it."""
    inner: dict[str, list] = {}
    for span in spans:
        inner.setdefault(span["parent"], []).append((span["start_ns"], span["end_ns"]))
    own: dict[str, list] = {}
    for span in spans:
        own.setdefault(span.get("of", span["id"]), []).extend(uncovered(inner.get(span["id"], []), span["start_ns"],
                                                                        span["end_ns"]))
    return own


def uncovered(intervals: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of start to end that no interval covers; several may run at once."""
    for first, last in [*sorted(intervals), (end, end)]:
        if min(first, end) > start:
            yield start, min(first, end)
        start = max(start, last)


def stage_id(known: Mapping, id: str | None) -> str | None:
    """The id of the stage that the span belongs to; None if there is none."""
    return known[id].get("of", id) if id in known else None


def stage_of(span: dict, known: Mapping, children: list[dict], pieces: Mapping, own: list[tuple[int, int]],
             began: int) -> Stage:
    """The stage of a span."""
    def ms(ns: int | None) -> float | None:
        return None if ns is None else (ns - began) / 1e6

    parent = stage_id(known, span["parent"])
    asked = next((child for child in children if span["kind"] == "crud" and child.get("sql")), span)
    return Stage(
        id=span["id"], parent=parent, depth=depth(known, parent), kind=span["kind"], name=span["name"],
        file=span.get("file", ""), start_ms=ms(span["start_ns"]), end_ms=ms(span["end_ns"]), own_ms=sum(end - start for start, end in own) / 1e6,
        at_work=tuple((ms(start), ms(end)) for start, end in own),
        came_in=span.get("came_in", {}), changed=span.get("changed", {}), out=span.get("out", {}),
        result=span.get("result", ""), sql=asked.get("sql"), rows=asked.get("rows"),
        tried=tuple(Try(*each) for each in span.get("tried", [])), error=span.get("error"),
        answered=span.get("answered", False), handed_on_ms=ms(span.get("handed_on_ns")),
        got_back_ms=ms(span.get("got_back_ns")), helper=is_helper(span, known.get(parent, {})),
        code=lines_of([pieces[key] for key in span.get("pieces", [])], span.get("lines", [])))


def depth(known: Mapping, id: str | None) -> int:
    """How many stages enclose what runs in the stage of this id."""
    return 0 if id is None else 1 + depth(known, stage_id(known, known[id]["parent"]))


def is_helper(span: dict, parent: dict) -> bool:
    """Whether the span is a function that was called from its own file."""
    return bool(span.get("file")) and span["kind"] not in ("middleware", "router", "app") and \
        span["file"] == parent.get("file")


# ------------------------------------------------------------------ views

def exactly(name: str, wanted: str) -> bool:
    """Whether it is the whole name."""
    return name == wanted


def in_part(name: str, wanted: str) -> bool:
    """Whether it is the beginning, the end or the middle of the dotted name."""
    return f".{wanted}." in f".{name}."


def shown_stages(stages: tuple[Stage, ...], helpers: bool = False) -> list[Stage]:
    """The stages without the helpers and what they called in their own file; or all."""
    return [stage for stage in stages if helpers or not stage.helper]


def rows_of(stages: tuple[Stage, ...], times: bool, helpers: bool) -> list[str]:
    """The table's lines."""
    indents = indents_of(stages, helpers)
    stages = shown_stages(stages, helpers)
    names = ["  " * indents[stage.id] + stage.name for stage in stages]
    width = max(map(len, names), default=0)
    spent = [f"{stage.own_ms:9.2f} ms of {stage.total_ms:8.2f} ms" if times else "" for stage in stages]
    return [f"{name:{width}}{ms}  {stage.text}".rstrip() for name, ms, stage in zip(names, spent, stages)]


def indents_of(stages: tuple[Stage, ...], helpers: bool) -> dict[str, int]:
    """How far each stage stands from the margin. The onion's layers stand below each other: within each other they
    would fill the line."""
    middleware = {stage.id for stage in stages if stage.kind == "middleware"}
    indents = {}
    for stage in stages:
        hidden = stage.helper and not helpers
        next_layer = stage.kind in LAYERS and stage.parent in middleware
        indents[stage.id] = indents.get(stage.parent, -1) + (not hidden and not next_layer)
    return indents


def described(stage: Stage) -> str:
    """What the stage did, in one line."""
    if stage.kind == "middleware":
        said = said_middleware(stage)
    else:
        said = [said_router(stage) if stage.kind == "router" else said_sql(stage) or said_result(stage)]
    return "; ".join(filter(None, [*said, stage.error and f"raised {stage.error}"]))


def said_router(stage: Stage) -> str:
    """Which route it took, and as which of those it tried."""
    for place, each in enumerate(stage.tried, 1):
        if each.match == "FULL":
            return f"tried {place}, took {each.methods} {each.path}"
    fitting = sum(each.match == "PARTIAL" for each in stage.tried)
    return f"tried {len(stage.tried)}, " + ("none takes this method" if fitting else "none fits")


def said_middleware(stage: Stage) -> list[str]:
    """What it added on the way in, and on the way out."""
    return [f"adds {', '.join(stage.changed)}" if stage.changed else "", said_out(stage)]


def said_out(stage: Stage) -> str:
    """What it added on the way out."""
    if stage.answered:
        return f"answers {stage.out.get('status')}"
    changed = [f"status becomes {stage.out['status']}"] if "status" in stage.out else []
    headers = list(stage.out.get("headers", {}))
    listed = ", ".join(headers) if len(headers) < 3 else f"{headers[0]} and {len(headers) - 1} more headers"
    return "; ".join(changed + ([f"response gets {listed}"] if headers else []))


def said_sql(stage: Stage) -> str:
    """The statement, shortened, and how many rows it brought."""
    if stage.sql is None or stage.kind == "crud":
        return ""
    return f"{textwrap.shorten(stage.sql, 60, placeholder=' …')} {said_rows(stage)}".rstrip()


def said_rows(stage: Stage) -> str:
    """How many rows the statement brought; nothing for one that brings none by its nature, such as an INSERT."""
    if BRINGS_NONE.match(stage.sql):
        return ""
    return f"→ {stage.rows} {'row' if stage.rows == 1 else 'rows'}"


def said_result(stage: Stage) -> str:
    """The type of what it returned; of a crud function, which returns rows, how many."""
    if stage.kind == "crud" and stage.sql is not None:
        return said_rows(stage)
    return f"→ {stage.result}" if stage.result not in ("", "NoneType") else ""


def marked(line: Line) -> str:
    """The line with its number, and an arrow if it ran."""
    return f"{'→' if line.ran else ' '}{line.number:4}  {line.text}".rstrip()


# ------------------------------------------------------------------ the stepper's way

def steps(stages: tuple[Stage, ...]) -> Iterator[Step]:
    """A step for each stage as it begins, one more for each middleware and the client as the response passes it."""
    state: dict = {}
    for when, stage, way in sorted(moments(stages), key=lambda moment: moment[0]):
        if way == "in":
            state = {**state, **stage.came_in.get("state", {}), **stage.changed} if stage.kind == "middleware" else state
            yield Step(stage, way, said_in(stage), dict(state))
        else:
            yield Step(stage, way, said_way_out(stage), dict(state))


def moments(stages: tuple[Stage, ...]) -> Iterator[tuple[float, Stage, str]]:
    """When something happens that is worth a step. What crud asks of the database is part of crud's own step."""
    kinds = {stage.id: stage.kind for stage in stages}
    for stage in shown_stages(stages):
        if stage.kind == "server" or stage.kind == "database" and kinds.get(stage.parent) == "crud":
            continue
        yield stage.start_ms, stage, "in"
        if stage.kind == "client":
            # Last, whatever the clock says: the client has the response before the layers have returned from sending it.
            yield math.inf, stage, "out"
        elif stage.kind == "middleware" and stage.got_back_ms is not None:
            yield stage.got_back_ms, stage, "out"


def said_in(stage: Stage) -> str:
    """What the stage does with the request."""
    if stage.kind == "client":
        return "sends the request"
    if stage.kind != "middleware":
        return " · ".join(filter(None, [stage.sql, stage.text]))
    if stage.handed_on_ms is None:
        return stage.text or "ends the request here"
    return said_middleware(stage)[0] or "hands the request on as it is"


def said_way_out(stage: Stage) -> str:
    """What the stage does with the response."""
    if stage.kind == "client":
        return "has the response"
    return f"lets {stage.error} pass" if stage.error else said_out(stage) or "hands the response on as it is"
