"""The stepper: walks along the way of one traced request, in the browser alone.

All its pages are made beforehand, and its parts are linked in the browser: it steps while the kernel is
busy, and in a page without a kernel.
"""
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from html import escape

import ipywidgets
from ipywidgets import HTML, HBox, IntSlider, Layout, Play, Stack, ToggleButtons, VBox, jslink

from webscale.charts import COLOURS, FEATURES, LAYERS, ink_on
from webscale.source import Line
from webscale.tracing import Stage, Step, Trace

INTERVAL_MS = 1200   # between two steps when it plays by itself
PAGE_PX = 500        # height of a page: the same for all, so that nothing jumps
LONGEST_VALUE = 110  # letters

STYLE = """
<style>
.ws-stepper { border: 1px solid var(--jp-border-color2, #ddd); border-radius: 8px; padding: 10px 12px; max-width: 1200px; }
.ws-stepper .widget-toggle-buttons { width: 100%; }
.ws-stepper .widget-toggle-button { font-size: 11px; height: 24px; line-height: 20px; padding: 0 7px; margin: 1px;
  border-bottom: 3px solid var(--ws-colour); }
.ws-stepper .widget-toggle-button.mod-active { background: var(--ws-colour); color: var(--ws-ink);
  box-shadow: none; }
.ws-page { display: grid; grid-template-columns: 440px minmax(0, 1fr); gap: 22px; padding-top: 6px; line-height: 1.4;
  color: var(--jp-ui-font-color1, #222); font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; }
.ws-page svg { width: 440px; align-self: start; font-family: inherit; }
.ws-page svg text { fill: var(--jp-ui-font-color1, #222); font-size: 11.5px; }
.ws-facts { overflow: auto; padding-right: 6px; }
.ws-head { display: flex; align-items: center; gap: 10px; flex-wrap: wrap; }
.ws-pill { border-radius: 6px; padding: 3px 10px; font-size: 15px; font-weight: 700; }
.ws-quiet { color: var(--jp-ui-font-color2, #666); }
.ws-time { margin-left: auto; font-variant-numeric: tabular-nums; }
.ws-said { font-size: 15px; margin: 8px 0 2px; }
.ws-page h4 { margin: 10px 0 3px; font-size: 12px; font-weight: 600;
  color: var(--jp-ui-font-color2, #666); }
.ws-rows, .ws-code, .ws-bytes { font-family: var(--jp-code-font-family, monospace); font-size: 12px; line-height: 1.45; }
.ws-rows { display: grid; grid-template-columns: max-content minmax(0, 1fr); }
.ws-rows div { padding: 1px 16px 1px 6px; overflow-wrap: anywhere; }
.ws-rows .ws-new { background: color-mix(in srgb, var(--ws-colour) 24%, transparent); font-weight: 700; }
.ws-code, .ws-bytes { border: 1px solid var(--jp-border-color2, #ddd); border-radius: 6px; padding: 4px 0; }
.ws-code div, .ws-bytes div { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0 8px; }
.ws-code div { padding-left: 7em; text-indent: -7em; border-left: 4px solid transparent; }
.ws-code .ws-idle { opacity: .55; }
.ws-code .ws-ran { background: color-mix(in srgb, var(--ws-colour) 20%, transparent); border-left-color: var(--ws-colour); }
.ws-code span { display: inline-block; width: 2.4em; text-align: right; text-indent: 0; margin-right: 1.2em; opacity: .6; }
</style>
"""


class Stepper(VBox):
    """The pages of a trace with what moves between them; in a notebook's text, the names of its steps."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(parts(trace) if trace.steps else [HTML(STYLE + unseen(trace))])
        self.add_class("ws-stepper")
        self.trace = trace

    def __repr__(self) -> str:
        names = " → ".join(step.name for step in self.trace.steps)
        return f"<{self.trace.headline}: {names or 'no stages'}>"

    def _repr_mimebundle_(self, **options: object) -> dict:
        # ipywidgets would cut the line at 110 letters, and nbval would compare no more than these.
        return {**super()._repr_mimebundle_(**options), "text/plain": repr(self)}


def stepper(trace: Trace) -> Stepper:
    """A widget that shows the trace step by step: where the request is, what it holds, and the code that ran."""
    return Stepper(trace)


def parts(trace: Trace) -> list[ipywidgets.Widget]:
    """What the stepper is made of, linked in the browser."""
    last = len(trace.steps) - 1
    stack = Stack([HTML(page(trace, place), layout=Layout(margin="0")) for place in range(last + 1)], selected_index=0)
    slider = IntSlider(0, 0, last, readout=False, layout=Layout(flex="1 1 auto", width="auto"))
    play = Play(value=0, min=0, max=last, interval=INTERVAL_MS, show_repeat=False)
    # A stage may be passed twice: the value is the place, since two values must not be equal.
    buttons = ToggleButtons(options=[(short(step), place) for place, step in enumerate(trace.steps)], index=0,
                            tooltips=[step.name for step in trace.steps], style={"button_width": "auto"})
    mark = f"ws-{trace.id[:12]}"
    buttons.add_class(mark)
    jslink((play, "value"), (slider, "value"))
    jslink((slider, "value"), (stack, "selected_index"))
    jslink((slider, "value"), (buttons, "index"))
    return [HTML(STYLE + button_colours(mark, trace.steps), layout=Layout(display="none")), HBox([play, slider]),
            buttons, stack]


def short(step: Step) -> str:
    """The step's name for a small button: of a function, its own name."""
    return step.name if step.stage.kind == "middleware" else step.name.rpartition(".")[2].strip("_")


def button_colours(mark: str, steps: Iterable[Step]) -> str:
    """A style sheet that gives each button its stage's colour."""
    rules = (f".{mark} .widget-toggle-button:nth-child({place}) {{ {colours(step.stage.kind)} }}"
             for place, step in enumerate(steps, 1))
    return f"<style>{' '.join(rules)}</style>"


def colours(kind: str) -> str:
    """The colour of the kind of stage, and of words on it, for a style sheet."""
    return f"--ws-colour: {COLOURS[kind]}; --ws-ink: {ink_on(COLOURS[kind])};"


# ------------------------------------------------------------------ a page

def page(trace: Trace, place: int) -> str:
    """The HTML of one step: the picture at the left, the facts and the code at the right."""
    step = trace.steps[place]
    stage = step.stage
    return (f'<div class="ws-page" style="{colours(stage.kind)}">{picture(trace, place)}'
            f'<div class="ws-facts" style="height:{PAGE_PX}px">{head(trace, place)}'
            f'<div class="ws-said">{escape(said(step))}</div>{facts(trace, step)}{code(stage)}</div></div>')


def head(trace: Trace, place: int) -> str:
    """The stage's name in its colour, and its time."""
    step = trace.steps[place]
    stage = step.stage
    return (f'<div class="ws-head"><span class="ws-pill" style="background:{COLOURS[stage.kind]};'
            f'color:{ink_on(COLOURS[stage.kind])}">{escape(step.name)}</span>'
            f'<span class="ws-time">own time <b>{stage.own_ms:.2f} ms</b>'
            f'<span class="ws-quiet"> · step {place + 1} of {len(trace.steps)}</span></span></div>')


def said(step: Step) -> str:
    """What happened, without the statement, which has a place of its own."""
    return step.stage.text if step.stage.sql and step.way == "in" else step.text


def facts(trace: Trace, step: Step) -> str:
    """What came in, what was added, and what the request's state holds by now."""
    return "".join(section(title, body) for title, body in told(trace, step) if body)


def told(trace: Trace, step: Step) -> Iterator[tuple[str, str]]:
    """The facts that are worth telling of a stage of this kind: titles and their HTML."""
    stage, out = step.stage, step.way == "out"
    if stage.kind == "client":
        yield ("the response's bytes", raw(trace.response_bytes)) if out else ("the request's bytes", raw(trace.request_bytes))
    elif stage.kind == "router":
        yield "routes tried", rows({f"{each.methods} {each.path}": each.match.lower() for each in stage.tried},
                                   new=[f"{each.methods} {each.path}" for each in stage.tried if each.match == "FULL"])
    elif out:
        yield "added to the response", rows(response_changes(stage), new=response_changes(stage))
    elif stage.kind != "middleware":
        yield "SQL", raw(textwrap.fill(stage.sql or "", 76))
        yield "came in", rows(stage.came_in)
        yield "gave back", rows(stage.out, new=stage.out)
    if not out and stage.kind not in ("client", "crud", "database"):
        yield "the request's state", rows(step.state, new=stage.changed)


def response_changes(stage: Stage) -> dict:
    """The status and the headers that a middleware gave the response."""
    return {key: stage.out[key] for key in ("status",) if key in stage.out} | stage.out.get("headers", {})


def section(title: str, body: str) -> str:
    """The body under its title."""
    return f"<h4>{escape(title)}</h4>{body}"


def rows(values: Mapping, new: Iterable[str] = ()) -> str:
    """Names and values below each other, with the new ones lit; nothing if there are none."""
    cells = "".join(f'<div{lit}>{escape(str(name))}</div><div{lit}>{escape(brief(value))}</div>'
                    for name, value in values.items() for lit in [' class="ws-new"' if name in new else ""])
    return f'<div class="ws-rows">{cells}</div>' if cells else ""


def brief(value: object) -> str:
    """The value in one line that is not too long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"


def raw(text: str) -> str:
    """The text as it is, line by line."""
    lines = "".join(f"<div>{escape(line) or ' '}</div>" for line in str(text).splitlines())
    return f'<div class="ws-bytes">{lines}</div>' if lines else ""


def code(stage: Stage) -> str:
    """The stage's source with the lines lit that ran."""
    if not stage.code:
        return ""
    return section(f"{stage.file or 'the code'}: the lines that ran are lit", f'<div class="ws-code">{"".join(numbered(stage.code))}</div>')


def numbered(code: Iterable[Line]) -> Iterator[str]:
    """Each line with its number; dots where the file goes on elsewhere."""
    before = None
    for line in code:
        if before is not None and line.number != before + 1:
            yield '<div class="ws-idle"><span>⋯</span></div>'
        before = line.number
        yield f'<div class="{"ws-ran" if line.ran else "ws-idle"}"><span>{line.number}</span>{escape(line.text)}</div>'


def unseen(trace: Trace) -> str:
    """What there is to show of a request that no stage saw: its bytes."""
    return (f'<div class="ws-facts" style="{colours("client")}"><div class="ws-said">{escape(trace.note)}</div>'
            f'{section("the request’s bytes", raw(trace.request_bytes))}'
            f'{section("the response’s bytes", raw(trace.response_bytes))}</div>')


# ------------------------------------------------------------------ the picture

LIT, PASSED, AHEAD = 1.0, 0.38, 0.10   # how strong a stage's colour is
SLICE = 24                             # height of a middleware


def picture(trace: Trace, place: int) -> str:
    """The lecture's picture of this trace, drawn in SVG: the step's stage lit, those passed paler."""
    names = list(dict.fromkeys(stage.name for stage in trace.stages if stage.kind == "middleware"))
    features = features_of(trace)
    height = max(SLICE * len(names) + 34, 58 * len(features) + 4, 200)
    middle = height / 2
    return (f'<svg viewBox="0 0 440 {height + 84}" role="img" aria-label="{escape(trace.steps[place].name)}">{MARKER}'
            f"{way_in(middle)}{block(2, middle - 24, 54, 48, 'Client', strength(trace, place, 'client'), 'client')}"
            f"{onion(trace, place, names, height)}"
            f"{block(220, middle - 24, 54, 48, 'Router', strength(trace, place, 'router'), 'router')}"
            f"{''.join(branches(trace, place, features, height))}{drum(trace, place, middle)}"
            f"{way_back(trace, place, middle, height)}{legend(height + 76, features)}</svg>")


MARKER = ('<defs><marker id="ws-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
          '<path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>')


def strength(trace: Trace, place: int, kind: str, name: str | None = None) -> float:
    """How strongly to draw the stages of this kind whose names begin with this name: lit, passed or still ahead."""
    def fits(step: Step) -> bool:
        layer = "crud" if step.stage.kind == "database" else step.stage.kind
        return layer == kind and (name is None or step.stage.name == name or step.stage.name.startswith(f"{name}."))

    if fits(trace.steps[place]):
        return LIT
    return PASSED if any(map(fits, trace.steps[:place])) else AHEAD


def features_of(trace: Trace) -> list[str]:
    """The features to draw: the lecture's four, others that the request met; none where there are no such files."""
    met = [stage.name.partition(".")[0] for stage in trace.stages if stage.kind in LAYERS]
    if any(stage.kind == "app" for stage in trace.stages):
        return ["app"]
    return list(dict.fromkeys([name.lower() for name in FEATURES.values()] + met))


def block(x: float, y: float, width: float, height: float, label: str, strong: float, kind: str) -> str:
    """A box with its label."""
    edge, edge_colour = 2 if strong == LIT else 1, "#8A9099" if kind == "client" else COLOURS[kind]   # seen on black too
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{COLOURS[kind]}" '
            f'fill-opacity="{strong}" stroke="{edge_colour}" stroke-width="{edge}" stroke-opacity="{max(strong, .45)}"/>'
            f'<text x="{x + width / 2}" y="{y + height / 2 + 4}" text-anchor="middle"{ink(strong, kind)}>{escape(label)}</text>')


def ink(strong: float, kind: str) -> str:
    """How to write on a box of this strength."""
    return f' style="fill:{ink_on(COLOURS[kind])};font-weight:700"' if strong == LIT else ""


def onion(trace: Trace, place: int, names: list[str], height: float) -> str:
    """The middleware below each other; hollow where the response is on its way out through one."""
    step = trace.steps[place]
    top = (height - SLICE * len(names) - 34) / 2
    frame = (f'<rect x="76" y="{top}" width="126" height="{SLICE * len(names) + 34}" rx="7" fill="{COLOURS["middleware"]}" '
             f'fill-opacity=".08" stroke="{COLOURS["middleware"]}" stroke-opacity=".6"/>'
             f'<text x="139" y="{top + 18}" text-anchor="middle" style="font-weight:700">Middleware</text>')
    shown = [frame]
    for row, name in enumerate(names):
        out = step.way == "out" and step.stage.name == name
        strong = strength(trace, place, "middleware", name)
        shown.append(block(81, top + 27 + SLICE * row, 116, SLICE - 3, f"← {name}" if out else name, strong, "middleware"))
    return "".join(shown)


def branches(trace: Trace, place: int, features: list[str], height: float) -> Iterator[str]:
    """The features, with a strip for each of controller, feature and crud, and the ways to and from them."""
    top = (height - 58 * len(features)) / 2
    for row, name in enumerate(features):
        y = top + 58 * row + 4
        yield line(f"M274 {height / 2} L291 {y + 25}") + line(f"M377 {y + 25} L393 {height / 2 + (y + 25 - height / 2) * .3}")
        yield (f'<rect x="293" y="{y}" width="84" height="50" rx="5" fill="none" stroke="#9AA1A9" stroke-opacity=".7"/>'
               f'<text x="335" y="{y + 18}" text-anchor="middle">{escape(name.capitalize())}</text>')
        for column, layer in enumerate(LAYERS if name != "app" else ("app",) * 3):
            strong = strength(trace, place, layer, None if name == "app" else name)
            yield (f'<rect x="{299 + 25 * column}" y="{y + 28}" width="22" height="14" rx="3" fill="{COLOURS[layer]}" '
                   f'fill-opacity="{max(strong, .16)}"><title>{layer}</title></rect>')


def drum(trace: Trace, place: int, middle: float) -> str:
    """The database, lit with whatever asks it."""
    strong, colour = strength(trace, place, "crud"), COLOURS["crud"]
    return (f'<path d="M396 {middle - 26} v52 a20 7 0 0 0 40 0 v-52" fill="{colour}" fill-opacity="{strong}" stroke="{colour}"/>'
            f'<ellipse cx="416" cy="{middle - 26}" rx="20" ry="7" fill="{colour}" fill-opacity="{strong}" stroke="{colour}"/>'
            f'<text x="416" y="{middle + 10}" text-anchor="middle"{ink(strong, "crud")}>Data</text>')


def way_in(middle: float) -> str:
    """The arrows from client to router."""
    return line(f"M56 {middle} H74") + line(f"M202 {middle} H218")


def way_back(trace: Trace, place: int, middle: float, height: float) -> str:
    """The response and its arrows, below all the others."""
    strong, y = strength(trace, place, "response"), height + 36
    coming = strong > AHEAD or trace.steps[place].way == "out"
    colour = COLOURS["response"] if coming else "#9AA1A9"
    return (line(f"M335 {height + 2} V{y} H286", colour) + line(f"M202 {y} H29 V{middle + 26}", colour)
            + block(204, y - 16, 80, 32, "Response", strong, "response"))


def legend(y: float, features: list[str]) -> str:
    """What the three strips of a feature stand for."""
    layers = LAYERS if features != ["app"] else ()
    return "".join(f'<rect x="{216 + 80 * place}" y="{y - 9}" width="11" height="10" rx="2" fill="{COLOURS[layer]}"/>'
                   f'<text x="{231 + 80 * place}" y="{y}">{layer.replace("crud", "CRUD")}</text>'
                   for place, layer in enumerate(layers))


def line(path: str, colour: str = "#9AA1A9") -> str:
    """An arrow along the path."""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" marker-end="url(#ws-tip)"/>'
