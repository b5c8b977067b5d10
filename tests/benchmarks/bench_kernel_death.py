"""How long a server outlives its notebook's process: killed under load and with a request held for 10 s.

    python tests/benchmarks/bench_kernel_death.py
"""
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import requests

TIMES = 50
CLIENTS = 4     # threads that ask for as much as they can get
LIMIT_S = 1     # after this no server may be left
APP = '''
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

async def quick(request):
    return PlainTextResponse("quick")

async def held(request):
    async def halves():
        yield "first half"
        await asyncio.sleep(10)
    return StreamingResponse(halves())

create_app = lambda settings: Starlette(routes=[Route("/quick", quick), Route("/held", held)])
'''
NOTEBOOK = """
import sys
from pathlib import Path
from webscale.servers import serve
server = serve(Path(sys.argv[1]))
print(server.pid, server.url, flush=True)
sys.stdin.read()
"""


def main() -> None:
    """Nothing is returned; the figures are printed."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "held"
        package.mkdir()
        (package / "app.py").write_text(APP, "utf-8")
        (package / "settings.py").write_text("class Settings:\n    from_environment = dict\n", "utf-8")
        lives = [seconds_after_a_kill(folder) for _ in range(TIMES)]
    left = sum(life is None for life in lives)
    print(f"left {LIMIT_S} s after the kill: {left} of {TIMES}")
    if known := [1_000 * life for life in lives if life is not None]:
        print(f"until gone: median {statistics.median(known):.0f} ms, longest {max(known):.0f} ms")
    sys.exit(left > 0)


def seconds_after_a_kill(folder: str) -> float | None:
    """How long the server lived on; None if it was still there when the limit was over."""
    with subprocess.Popen([sys.executable, "-c", NOTEBOOK, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as notebook:
        pid, url = notebook.stdout.readline().split()
        server = psutil.Process(int(pid))
        clients = [threading.Thread(target=ask_until_it_fails, args=(url,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        held = requests.get(f"{url}/held", stream=True, timeout=20)   # its first half has come
        notebook.kill()
        life = life_of(server)
        held.close()
        for client in clients:
            client.join()
    if life is None:
        server.kill()
    return life


def life_of(server: psutil.Process) -> float | None:
    """How many seconds the process goes on from now; None if more than the limit."""
    start = time.perf_counter()
    while time.perf_counter() - start < LIMIT_S:
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            return time.perf_counter() - start
        time.sleep(0.002)
    return None


def ask_until_it_fails(url: str) -> None:
    """Nothing is returned; the server no longer answers."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            while True:
                session.get(f"{url}/quick", timeout=5)
        except requests.RequestException:
            pass


if __name__ == "__main__":
    main()
