"""Records, inside the server's process, the way of those requests that ask for it. The example knows nothing of it.

    recorder.install("shop")              # before the package is imported
    app = recorder.sampled(app, send)     # send is given the record of each such request

A request asks by W3C's `traceparent` header with the sampled flag. All others run the application as it is.
"""
import asyncio
import functools
import importlib.machinery
import inspect
import logging
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webscale import twins
from webscale.lines import Stepped, current, traced_lines
from webscale.spans import FunctionSpan, LayerSpan, Recording

# The functions of modules with these names are stages, of this kind.
KINDS = {"controller": "controller", "feature": "feature", "crud": "crud", "database": "database", "responses": "response"}
SAMPLED = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f][13579bdf]")

under_way: set["Recording"] = set()   # mostly empty, and then a wrapped function asks nothing else

log = logging.getLogger("webscale")


# ------------------------------------------------------------------ functions

def install(package: str) -> None:
    """Nothing is returned; the package's stages are recorded from now on. It must not be imported yet."""
    sys.meta_path.insert(0, StageFinder(package))


class StageFinder:
    """Finds the modules whose functions are stages.

    They are wrapped as soon as their module is executed, before anyone can import them from it: later
    would be too late for `from shop.catalog.feature import product` and for the route table.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """How to load the module, if it is one of ours; None leaves it to the usual finders."""
        if not (name.startswith(self.package + ".") and name.rpartition(".")[2] in KINDS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = StageLoader(spec.loader.name, spec.loader.path)
        return spec


class StageLoader(importlib.machinery.SourceFileLoader):
    """Loads a module and wraps the functions that it defines."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        path = module.__name__.partition(".")[2]   # without the package's name
        wrap_members(module, module.__file__, KINDS[path.rpartition(".")[2]], path)


def wrap_members(owner: ModuleType | type, filename: str, kind: str, path: str) -> None:
    """Nothing is returned; the functions and classes that the owner defines in its file are wrapped."""
    for name, member in list(vars(owner).items()):
        if isinstance(member, type) and member.__module__ == getattr(owner, "__module__", owner.__name__):
            wrap_members(member, filename, kind, path)
        elif (wrapped := wrap_member(member, filename, kind, path)) is not None:
            setattr(owner, name, wrapped)


def wrap_member(member: object, filename: str, kind: str, path: str) -> object | None:
    """The member with its function recorded; None for what is no function, or one of another file."""
    def wrap(function: object) -> object:
        ours = isinstance(function, FunctionType) and function.__code__.co_filename == filename
        return wrapped(function, kind, path) if ours and function.__name__.isidentifier() else function

    if isinstance(member, FunctionType):
        new = wrap(member)
        return new if new is not member else None
    if isinstance(member, (classmethod, staticmethod)):
        return type(member)(wrap(member.__func__))
    if isinstance(member, property):
        return property(*map(wrap, (member.fget, member.fset, member.fdel)), member.__doc__)
    if isinstance(member, functools._lru_cache_wrapper):   # entered only when the cache has no answer
        return functools.lru_cache(**member.cache_parameters())(wrap(member.__wrapped__))
    return None


def wrapped(function: FunctionType, kind: str, path: str) -> Callable:
    """The function, recorded when it is called on behalf of a sampled request."""
    signature = inspect.signature(function)
    start = functools.partial(FunctionSpan, kind=kind, name=f"{path}.{function.__name__}", function=function,
                              signature=signature)

    def recorded_call(args: tuple, kwargs: dict) -> object:
        with start(args, kwargs) as span, traced_lines():
            return span.returned(function(*args, **kwargs))

    async def recorded_coroutine(args: tuple, kwargs: dict) -> object:
        with start(args, kwargs) as span:
            return span.returned(await Stepped(function(*args, **kwargs)))

    if not inspect.iscoroutinefunction(function):
        return wrapper_like(function, signature, recorded_call)
    wrapper = wrapper_like(function, signature, recorded_coroutine)
    wrapper.is_stage = True
    return marked_as_coroutine(wrapper)   # Starlette asks this of its endpoints and exception handlers


WRAPPER = """
def wrapper{signature}:
    if not under_way or current_span() is None:
        return function({arguments})
    return recorded(({positional}), dict({named}))
"""


def wrapper_like(function: FunctionType, signature: inspect.Signature, recorded: Callable) -> Callable:
    """A function that calls the given one, or recorded(args, kwargs) if there is a request to record.

    It is written out with the function's own parameters. One with *args and **kwargs would do the same,
    but cost everybody three times as much, recorded or not.
    """
    plain = [parameter.replace(annotation=parameter.empty,
                               default=parameter.empty if parameter.default is parameter.empty else None)
             for parameter in signature.parameters.values()]
    positional, named = [], []
    for parameter in plain:
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**",
                  parameter.KEYWORD_ONLY: f"{parameter.name}="}.get(parameter.kind, "")
        (named if prefix not in ("", "*") else positional).append(prefix + parameter.name)
    text = WRAPPER.format(signature=signature.replace(parameters=plain, return_annotation=inspect.Signature.empty),
                          arguments=", ".join(positional + named), named=", ".join(named),
                          positional="".join(f"{name}, " for name in positional))
    names = {"under_way": under_way, "current_span": current.get, "function": function, "recorded": recorded}
    exec(compile(text, "<recorder>", "exec"), names)
    wrapper = functools.update_wrapper(names["wrapper"], function)
    wrapper.__defaults__, wrapper.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return wrapper


def marked_as_coroutine(function: Callable) -> Callable:
    """The plain function, which returns a coroutine, marked as if it were a coroutine function."""
    if hasattr(inspect, "markcoroutinefunction"):   # Python 3.12 and later
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine
    return function


# ------------------------------------------------------------------ requests

def sampled(app: ASGIApp, send: Callable[[dict], None]) -> "Sampled":
    """The application; send is given a record, from a thread of its own, of each request that asks to be recorded."""
    return Sampled(app, send)


class Sampled:
    """Stands before the application, and decides once for each request whether it is recorded."""

    def __init__(self, app: ASGIApp, send: Callable[[dict], None]) -> None:
        self.app = app
        self.traced = twins.traced(app)
        self.send_record = send
        self.sender = ThreadPoolExecutor(1, "traces")

    def __call__(self, scope: Scope, receive: Receive, send: Send):
        # Not `async def`: a request that is not recorded shall not pay for one more coroutine.
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"traceparent":
                    if asked := SAMPLED.fullmatch(value):
                        return self.record(asked, scope, receive, send)
                    break
        return self.app(scope, receive, send)

    async def record(self, asked: re.Match, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing is returned; the request is served by the twins of all layers, and its record is sent."""
        recording = Recording(asked[1].decode(), scope)
        root = LayerSpan(recording, asked[2].decode(), "server", "server", None, scope)

        async def send_to_client(message: Message) -> None:
            if message["type"] == "http.response.start":
                recording.status = message["status"]
            await send(message)

        async def receive_from_client() -> Message:
            return await receive()

        under_way.add(recording)
        try:
            with root:
                await self.traced()(scope, receive_from_client, send_to_client)
        finally:
            under_way.remove(recording)
            # After the response, and outside the event loop: other requests do not wait for it.
            asyncio.get_running_loop().run_in_executor(self.sender, self.deliver, recording)

    def deliver(self, recording: Recording) -> None:
        """Nothing is returned; the record is on its way. A failure is the recorder's, never the request's."""
        try:
            self.send_record(recording.as_json())
        except Exception:
            log.exception("The trace of a request could not be sent")


marked_as_coroutine(Sampled.__call__)   # uvicorn tells ASGI 3 from its predecessor by that
