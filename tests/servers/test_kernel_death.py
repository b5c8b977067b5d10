"""However the notebook's process ends, its servers are gone within a second."""
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import requests
from jupyter_client.manager import start_new_kernel

SERVE = """
import os, sys
from pathlib import Path
from webscale.servers import serve
server = serve(Path(sys.argv[1]))
print(server.pid, server.port, server.scratch, flush=True)
"""
WAIT = "sys.stdin.read()"


class Notebook:
    """A process that serves an example, until it is killed."""

    def __init__(self, folder, then=WAIT, first="", **options):
        self.process = subprocess.Popen([sys.executable, "-c", first + SERVE + then, str(folder)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        pid, port, scratch = self.process.stdout.readline().rstrip("\n").split(maxsplit=2)
        self.scratch = Path(scratch)
        self.server, self.url = psutil.Process(int(pid)), f"http://127.0.0.1:{port}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def notebook(tiny):
    """A notebook's process with one server."""
    with Notebook(tiny) as notebook:
        yield notebook


def test_a_kill_of_the_notebook_ends_its_server(notebook, is_gone):
    notebook.process.kill()

    assert is_gone(notebook.server)
    assert not notebook.scratch.exists()


@pytest.mark.parametrize("how", ["waiting", "blocking"])
def test_a_request_that_is_held_does_not_keep_the_server(notebook, is_gone, how):
    answer = requests.get(f"{notebook.url}/hold?seconds=10&{how}=1", stream=True, timeout=5)   # its first half is here
    notebook.process.kill()

    assert is_gone(notebook.server)
    answer.close()


def test_load_does_not_keep_the_server(notebook, is_gone):
    under_way = threading.Barrier(5)
    clients = [threading.Thread(target=ask_until_it_fails, args=(notebook.url, under_way)) for _ in range(4)]
    for client in clients:
        client.start()
    under_way.wait(10)
    notebook.process.kill()

    assert is_gone(notebook.server)
    for client in clients:
        client.join(5)


def test_an_application_that_is_still_loading_does_not_keep_the_server(example_of, is_gone):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loading = f"import os, socket; line = socket.create_connection({listener.getsockname()!r}); " \
            "line.sendall(b'%d' % os.getpid()); line.recv(1)"
        with subprocess.Popen([sys.executable, "-c", SERVE, str(example_of(loading))]) as notebook:
            line, _ = listener.accept()
            server = psutil.Process(int(line.recv(100)))
            notebook.kill()

            assert is_gone(server)
            line.close()


@pytest.mark.parametrize("end", ["", "raise SystemExit(1)", "os._exit(1)", "os.abort()"])
def test_no_other_end_of_the_notebook_leaves_a_server(tiny, is_gone, end):
    with Notebook(tiny, "sys.stdin.readline()\n" + end) as notebook:
        notebook.process.stdin.write("end now\n")
        notebook.process.stdin.flush()

        assert is_gone(notebook.server)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system does not fork.")
def test_a_forked_child_that_outlives_the_notebook_does_not_keep_the_server(tiny, is_gone):
    fork = "child = os.fork()\nif child: print(child, flush=True)\n" + WAIT
    with Notebook(tiny, fork) as notebook:
        child = psutil.Process(int(notebook.process.stdout.readline()))
        notebook.process.kill()
        gone, outlived = is_gone(notebook.server), child.is_running()
        child.kill()

    assert (gone, outlived) == (True, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system does not fork.")
def test_a_forked_child_that_ends_leaves_the_server_alone(tiny, is_gone):
    fork = "child = os.fork()\nif child: print(os.waitpid(child, 0)[1], flush=True); sys.stdin.read()"
    with Notebook(tiny, fork) as notebook:
        assert notebook.process.stdout.readline() == "0\n"
        assert notebook.scratch.exists()
        assert not is_gone(notebook.server)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="This system has no process groups.")
def test_an_interrupt_of_the_whole_process_group_does_not_reach_the_server(tiny, is_gone):
    noticing = "import signal\nsignal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True))\n"
    with Notebook(tiny, first=noticing, start_new_session=True) as notebook:
        os.killpg(notebook.process.pid, signal.SIGINT)

        assert notebook.process.stdout.readline() == "interrupted\n"
        assert not is_gone(notebook.server)


@pytest.mark.parametrize("how", ["kill", "shutdown", "interrupt"])
def test_a_real_kernel_takes_its_server_with_it_but_not_at_an_interrupt(tiny, is_gone, how):
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        pid, _, _ = run(client, f"import sys; sys.argv = ['', {str(tiny)!r}]" + SERVE).split(maxsplit=2)
        server = psutil.Process(int(pid))
        if how == "interrupt":
            interrupt_a_busy_cell(manager, client)
            assert not is_gone(server)
        else:
            manager.shutdown_kernel(now=how == "kill")
            assert is_gone(server)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client, cell):
    """What the cell prints."""
    printed = []
    client.execute_interactive(cell, timeout=30, output_hook=lambda message: printed.append(message["content"].get("text", "")))
    return "".join(printed)


def interrupt_a_busy_cell(manager, client):
    """Nothing is returned; a cell was interrupted in the middle of its work."""
    client.execute("print('busy', flush=True); __import__('threading').Event().wait()")
    while client.get_iopub_msg(timeout=30)["content"].get("text") != "busy\n":
        pass
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"


def ask_until_it_fails(url, under_way):
    """Nothing is returned; the server no longer answers."""
    with requests.Session() as session:
        session.trust_env = False
        session.get(url + "/settings", timeout=5)
        under_way.wait(10)
        try:
            while True:
                session.get(url + "/settings", timeout=5)
        except requests.RequestException:
            pass
