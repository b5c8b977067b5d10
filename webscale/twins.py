"""The application a second time, for the requests that are recorded: a twin of each layer, with a recorder between each two.

A twin shares its original's attributes, all but the one that holds the next layer. So a middleware that counts
counts both kinds of request, and the requests that are not recorded meet nothing but the originals.
"""
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from webscale.lines import current
from webscale.spans import LayerSpan, stepped


@dataclass(frozen=True)
class Made:
    """A middleware of Starlette's list: the layer, the one behind it, and how to make it once more."""

    layer: ASGIApp
    behind: ASGIApp
    again: Callable[[ASGIApp], ASGIApp]


class Recorder:
    """Stands in front of a layer and notes each request that enters it."""

    def __init__(self, layer: ASGIApp, kind: str, name: str, code: CodeType | None, dull: bool = False) -> None:
        self.layer, self.kind, self.name, self.code, self.dull = layer, kind, name, code, dull

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = current.get()
        outer = inside.layer
        outer.hands_on(scope)
        span = LayerSpan(outer.recording, inside.id, self.kind, self.name, self.code, scope, self.dull)
        given = span.receiving(outer.receive_of(receive)), span.sending(outer.send_of(send))
        try:
            with span:
                await stepped(self.layer(scope, *given))
        finally:
            outer.gets_back()


def traced(app: ASGIApp) -> Callable[[], ASGIApp]:
    """What gives the application built of twins. They are made at its first call, so that who never asks never pays."""
    if isinstance(app, Starlette):
        made = build_stack(app)   # now: once the application runs, its middleware has a past that must not be lost
        return functools.cache(lambda: traced_starlette(app, made))
    if isinstance(app, Router):
        return functools.cache(lambda: Recorder(twin_of_router(app), "router", "Router", None))
    if (name := attribute_of_next(app)) is None:
        return functools.cache(lambda: Recorder(app, "app", name_of(app), code_of(app)))
    behind = traced(getattr(app, name))
    return functools.cache(lambda: Recorder(twin(app, {name: behind()}) or app, "middleware", name_of(app), code_of(app)))


def attribute_of_next(app: ASGIApp) -> str | None:
    """The attribute that holds the next layer; None for the last one."""
    return next((name for name, value in getattr(app, "__dict__", {}).items()
                 if not isinstance(app, FunctionType) and is_application(value)), None)


def is_application(value: object) -> bool:
    """Whether it can be called as an ASGI application is called."""
    if isinstance(value, (Starlette, Router)):
        return True
    call = value if inspect.isroutine(value) else getattr(type(value), "__call__", None)
    if isinstance(value, type) or not inspect.iscoroutinefunction(call):
        return False
    return [name for name in inspect.signature(call).parameters if name != "self"] == ["scope", "receive", "send"]


# ------------------------------------------------------------------ Starlette

def traced_starlette(app: Starlette, made: list[Made]) -> ASGIApp:
    """The application's layers, from Starlette's own outermost to the router, as twins."""
    stack = traced_layer(app.middleware_stack, app.router, {id(each.layer): each for each in made})

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = app
        await stack(scope, receive, send)
    return call


def build_stack(app: Starlette) -> list[Made]:
    """The user's middleware, as they are made while Starlette builds its stack."""
    made = []

    def noting(middleware: Middleware) -> Middleware:
        def make(behind: ASGIApp, *args, **kwargs) -> ASGIApp:
            layer = middleware.cls(behind, *args, **kwargs)
            made.append(Made(layer, behind, lambda other: middleware.cls(other, *args, **kwargs)))
            return layer
        return Middleware(make, *middleware.args, **middleware.kwargs)

    listed = app.user_middleware
    app.user_middleware = [noting(middleware) for middleware in listed]
    try:
        app.middleware_stack = app.build_middleware_stack()
    finally:
        app.user_middleware = listed
    return made


def traced_layer(layer: ASGIApp, router: Router, made: dict[int, Made]) -> ASGIApp:
    """The layer and all behind it as twins."""
    if isinstance(layer, ExceptionMiddleware):
        # It turns the router's own 404 and 405 into responses, so it counts as a part of the router.
        return Recorder(twin(layer, {"app": twin_of_router(router)}), "router", "Router", None)
    how = made.get(id(layer)) or Made(layer, layer.app, again=lambda other: layer)
    behind = traced_layer(how.behind, router, made)
    held = next((name for name, value in getattr(layer, "__dict__", {}).items() if value is how.behind), None)
    again = held and twin(layer, {held: behind}) or twin_of_function(layer, how.behind, behind) or how.again(behind)
    return Recorder(again, "middleware", name_of(layer), code_of(layer), dull=isinstance(layer, ServerErrorMiddleware))


def twin_of_function(layer: object, behind: ASGIApp, other: ASGIApp) -> FunctionType | None:
    """The function with all its surrounding variables shared, but for the one that holds the next layer."""
    cells = getattr(layer, "__closure__", None) or ()
    if not any(cell_holds(cell, behind) for cell in cells):
        return None
    shared = tuple(CellType(other) if cell_holds(cell, behind) else cell for cell in cells)
    copy = FunctionType(layer.__code__, layer.__globals__, layer.__name__, layer.__defaults__, shared)
    copy.__kwdefaults__ = layer.__kwdefaults__
    return copy


def cell_holds(cell: CellType, value: object) -> bool:
    """Whether the variable stands for the value; it may stand for nothing yet."""
    try:
        return cell.cell_contents is value
    except ValueError:
        return False


def twin(layer: object, others: dict[str, object]) -> object | None:
    """An object that shares the layer's attributes, all but these others; None where its class does not allow that."""
    members = {name: property(lambda self, value=value: value) for name, value in others.items()}
    return twin_with(layer, members)


def twin_with(layer: object, members: dict[str, object]) -> object | None:
    """An object that shares the layer's attributes, and has these members in its class."""
    like = type(layer)
    try:
        copy = object.__new__(type(like.__name__, (like,), {"__module__": like.__module__, **members}))
        copy.__dict__ = layer.__dict__
    except (AttributeError, TypeError):   # a class with __slots__, or one that no other may inherit from
        return None
    return copy


def twin_of_router(router: Router) -> Router:
    """A router that notes which routes it tries, with which result."""
    def its_app(self: Router) -> ASGIApp:
        # The original holds its own method here; the twin's is wanted. Middleware of the router itself stays as it is.
        own = getattr(router.middleware_stack, "__self__", None) is router
        return self.app if own else router.middleware_stack

    twins: dict[int, BaseRoute] = {}
    routes = property(lambda self: [twins.get(id(route)) or twins.setdefault(id(route), twin_of_route(route))
                                    for route in router.routes])
    return twin_with(router, {"routes": routes, "middleware_stack": property(its_app)}) or router


def twin_of_route(route: BaseRoute) -> BaseRoute:
    """A route that notes that it was tried; an endpoint that no module of stages defines becomes a stage here."""
    def matches(self: BaseRoute, scope: Scope) -> tuple[Match, Scope]:
        match, found = type(route).matches(self, scope)
        methods = ", ".join(sorted(getattr(route, "methods", None) or ["any method"]))
        current.get().layer.tried.append((methods, getattr(route, "path", ""), match.name))
        return match, found

    members = {"matches": matches}
    if isinstance(route, Route) and not hasattr(route.endpoint, "is_stage"):
        recorder = Recorder(route.app, "controller", name_of(route.endpoint), code_of(route.endpoint))
        members["app"] = property(lambda self: recorder)
    return twin_with(route, members) or route


# ------------------------------------------------------------------ names and code

def name_of(layer: object) -> str:
    """What the layer is called in its source: Sessions, rate_limit, operators.livez."""
    if not inspect.isroutine(layer) and not isinstance(layer, type):
        return type(layer).__name__
    qualified = layer.__qualname__.removesuffix(".__call__")
    outermost = qualified.partition(".<locals>")[0]   # of a function within a function: the outer one has the name
    _, dot, path = layer.__module__.partition(".")
    return f"{path}.{outermost}" if dot else outermost


def code_of(layer: object) -> CodeType | None:
    """Some code of the layer, which tells its file and place; None for what is not written in Python."""
    if inspect.isroutine(layer):
        return getattr(inspect.unwrap(layer), "__code__", None)
    kind = layer if isinstance(layer, type) else type(layer)
    functions = (value for each in kind.__mro__ for value in vars(each).values() if isinstance(value, FunctionType))
    return next((function.__code__ for function in functions), None)
