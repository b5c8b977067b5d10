"""Which lines run: Python's line tracer, on only while the coroutines of a recorded request are being run."""
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

# The span that the code now running belongs to. Tasks and threads started with a copy of the context inherit it.
current: ContextVar[Any] = ContextVar("span", default=None)


def tracer(frame: FrameType, event: str, arg: object):
    """What records the frame's lines; None for a frame that is not in its span's file."""
    if frame.f_trace is not None:
        return frame.f_trace   # a coroutine that goes on: by now the current span may be another one
    span = current.get()
    if span is None or frame.f_code.co_filename != span.filename:
        return None
    span.codes.add(frame.f_code)
    return line_recorder(span.lines)


def line_recorder(lines: set[int]):
    """A tracer of one frame, which adds the number of each line that runs."""
    def record(frame: FrameType, event: str, arg: object):
        if event == "line":
            lines.add(frame.f_lineno)
        return record
    return record


@contextmanager
def traced_lines():
    """Within the block, in this thread, lines are recorded; afterwards whatever tracer there was is back."""
    former = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(former)


class Stepped:
    """A coroutine whose lines are recorded while it runs. While it waits other requests run, and theirs are not."""

    def __init__(self, coroutine: Coroutine) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Generator:
        resume, value = self.coroutine.send, None
        while True:
            former = sys.gettrace()
            sys.settrace(tracer)
            try:
                waits_for = resume(value)
            except StopIteration as end:
                return end.value
            finally:
                sys.settrace(former)
            try:
                resume, value = self.coroutine.send, (yield waits_for)
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as error:   # CancelledError above all: it is for the coroutine to deal with
                resume, value = self.coroutine.throw, error
