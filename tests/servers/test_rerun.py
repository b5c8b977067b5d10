"""A cell that is run twice, out of order or after an edit leaks no server."""
import pytest


@pytest.fixture
def run(shell, tiny):
    """A function that runs a cell, in which `tiny` is the folder of an example."""
    shell.run_cell(f"from pathlib import Path; tiny = Path({str(tiny)!r}); started = []")

    def run(cell):
        result = shell.run_cell(cell, store_history=True)
        result.raise_error()
        return result.result
    return run


def test_a_cell_that_is_run_again_ends_the_server_of_its_former_run(run):
    first = run("server = serve(tiny); server")
    second = run("server = serve(tiny); server")

    assert (repr(first), second.alive) == ("<00-tiny, stopped>", True)


def test_it_ends_even_when_the_new_run_fails(run, shell, tiny):
    first = run("serve(tiny)")
    (tiny / "tiny" / "app.py").unlink()
    shell.run_cell("serve(tiny)", store_history=True)

    assert not first.alive


def test_another_cell_leaves_it_running(run):
    first = run("one = serve(tiny); one")
    run("two = serve(tiny); two")

    assert first.alive


def test_one_run_of_a_cell_may_start_several(run):
    run("started = [serve(tiny) for _ in range(3)]")
    first = run("started")
    run("started = [serve(tiny) for _ in range(3)]")
    second = run("started")

    assert [server.alive for server in first] == [False, False, False]
    assert [server.alive for server in second] == [True, True, True]


def test_a_server_is_its_cells_even_when_a_function_of_another_cell_starts_it(run):
    run("def start():\n    return serve(tiny)")
    one, two = run("one = start(); one"), run("two = start(); two")
    again = run("two = start(); two")

    assert [server.alive for server in (one, two, again)] == [True, False, True]


def test_a_cell_that_was_edited_is_still_the_same_one_in_jupyterlab(run, shell):
    shell.get_parent = lambda: {"metadata": {"cellId": "e3b0c442"}}
    first = run("serve(tiny)")
    second = run("serve(tiny)   # edited")

    assert (first.alive, second.alive) == (False, True)


def test_a_variable_that_gets_another_server_ends_its_former_one(run, shell):
    run("server = serve(tiny); pid = server.pid; import psutil; process = psutil.Process(pid)")
    run("server = serve(tiny, settings={'name': 'two'})")

    assert not run("process.is_running()")
