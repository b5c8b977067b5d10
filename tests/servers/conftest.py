"""A tiny example to serve, a notebook to serve it from, and a way to know that a process is gone."""
from pathlib import Path

import psutil
import pytest

SETTINGS = '''
import os

class Settings:
    @classmethod
    def from_environment(cls, environ=os.environ):
        return {name: value for name, value in environ.items() if name.startswith("TINY_")}
'''
APP = '''
import asyncio, os, time
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


async def settings(request):
    return JSONResponse(request.app.state.settings)


async def say(request):
    print(request.query_params["words"])
    return JSONResponse("said")


async def die(request):
    os._exit(3)


async def hold(request):
    """The first half of the response at once, the second some seconds later."""
    seconds, blocking = float(request.query_params["seconds"]), "blocking" in request.query_params

    async def halves():
        yield "first half, "
        await asyncio.sleep(0)
        time.sleep(seconds) if blocking else await asyncio.sleep(seconds)
        yield "second half"
    return StreamingResponse(halves())


def create_app(settings_):
    app = Starlette(routes=[Route("/" + each.__name__, each) for each in (settings, say, die, hold)])
    app.state.settings = settings_
    return app
'''


def write_example(folder: Path, app: str = APP, package: str = "tiny") -> Path:
    """The folder, with an example in it."""
    (folder / package).mkdir(parents=True)
    (folder / package / "settings.py").write_text(SETTINGS, "utf-8")
    (folder / package / "app.py").write_text(app, "utf-8")
    return folder


@pytest.fixture
def tiny(tmp_path):
    """The folder of an example that answers, holds requests and dies on demand."""
    return write_example(tmp_path / "00-tiny")


@pytest.fixture
def example_of(tmp_path):
    """A function that makes an example's folder from the source of its app.py."""
    return lambda app: write_example(tmp_path / "00-tiny", app)


@pytest.fixture
def is_gone():
    """A function that says whether the process has ended within a second."""
    def is_gone(process: psutil.Process) -> bool:
        try:
            process.wait(1)
        except psutil.TimeoutExpired:
            return process.status() == psutil.STATUS_ZOMBIE   # ended; its new parent has not noticed yet
        return True
    return is_gone


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """IPython, as a notebook's kernel runs it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("%load_ext webscale\nfrom webscale.servers import *", store_history=True)
    yield shell
    shell.run_cell("%reset -f")
    InteractiveShell.clear_instance()
    shell.restore_sys_module_state()
