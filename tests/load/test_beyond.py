"""The locustfile: what it holds, that it asks what the load generator asks, and a run with a master and two workers."""
import ast
import csv
import importlib.util
import subprocess
import sys
from dataclasses import asdict
from math import sqrt
from types import SimpleNamespace

import pytest

from webscale.beyond import locustfile
from webscale.generator import Requests
from webscale.proxies import free_port
from webscale.servers import serve
from webscale.traffic import BROWSE, BUY, LOG_IN, SCENARIOS, Scenario, Step, prepared

SCENARIO = Scenario("seldom bought", (*BROWSE, BUY.weighing(5), LOG_IN.weighing(5)), users=4, orders=2)
USERS = 4
SECONDS = 3
ENDS_WITHIN_S = 60
COUNT = """
from locust import events
answered = []
events.request.add_listener(lambda **request: answered.append(request["name"]))
events.quitting.add_listener(lambda **_: print(len(answered), flush=True))
"""


# ------------------------------------------------------------------ the file

def test_the_file_compiles_and_imports_nothing_of_ours(tmp_path):
    path = locustfile("mixed", tmp_path / "locustfile.py")

    compile(path.read_text("utf-8"), path, "exec")
    statements = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    imported = {alias.name for each in statements if isinstance(each, ast.Import) for alias in each.names}
    imported |= {each.module for each in statements if isinstance(each, ast.ImportFrom)}
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == {"locust", "requests"}


def test_the_same_scenario_gives_the_same_text(tmp_path):
    one, other, buy = (locustfile(what, tmp_path / name).read_text("utf-8") for what, name in
                       [("mixed", "one.py"), (SCENARIOS["mixed"], "other.py"), ("buy", "buy.py")])

    assert one == other != buy


def test_a_scenario_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no scenario 'sell'"):
        locustfile("sell", tmp_path / "locustfile.py")

    assert not list(tmp_path.iterdir())


def test_to_write_the_file_does_not_import_locust(tmp_path):
    code = "import sys; from webscale.beyond import locustfile; locustfile('mixed'); print({'locust', 'gevent'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)

    assert answer.stdout == "set()\n"


# ------------------------------------------------------------------ what its clients ask

@pytest.fixture
def module(monkeypatch):
    """A function that gives the locustfile of a scenario as a module, with something like Locust, but without gevent."""
    listens = SimpleNamespace(add_listener=lambda function: function)
    like_locust = {"FastHttpUser": object, "task": lambda function: function, "events": SimpleNamespace(test_start=listens)}
    monkeypatch.setitem(sys.modules, "locust", SimpleNamespace(**like_locust))

    def loaded(what, folder):
        spec = importlib.util.spec_from_file_location("like_a_locustfile", locustfile(what, folder / "locustfile.py"))
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)   # dataclasses look for it there
        spec.loader.exec_module(module)
        return module
    return loaded


def client_of(module, host, asked):
    """One of the file's clients, that has not started; what it asks goes to the list."""
    client = module.Client()
    session = SimpleNamespace(client=SimpleNamespace(), request=lambda *what, **more: asked.append((*what, more)))
    client.host, client.client = host, session
    return client


def asked_by_the_generator(step, draws):
    """The first line, the headers and the body of the request that webscale.load sends."""
    requests = Requests({"steps": [asdict(step)], "draws": {}}, "host", True, seed=1)
    requests.draws = draws
    head, _, body = next(iter(requests))[1].decode().partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    return first, dict(line.split(": ", 1) for line in headers), body


@pytest.mark.parametrize("step", [*BROWSE, BUY, LOG_IN, Step("DELETE", "/'''", {"é$deep": [None, True]}),
                                  BUY.with_header("X-Seen", "$product of 100 %")], ids=str)
def test_a_client_asks_what_the_load_generator_asks(step, module, tmp_path):
    client = client_of(module(Scenario("one", (step,), users=1), tmp_path), "http://host", asked := [])
    client.draws = {name: f"<{name}>".__str__ for name in ("product", "deep", "session", "email", "key")}

    client.ask()

    (method, path, more), (first, headers, body) = asked[0], asked_by_the_generator(step, client.draws)
    assert (f"{method} {path} HTTP/1.1", more["name"], more["data"] or "") == (first, step.path, body)
    for added in ("Host", "Content-Length", "Accept-Encoding"):   # by what sends it; the last one asks for nothing
        headers.pop(added, None), more["headers"].pop(added, None)
    assert more["headers"] == headers


def test_a_client_draws_from_the_same_laws(shop, module, tmp_path):
    what = Scenario("some", (*BROWSE, BUY), users=2, orders=1)
    file = module(what, tmp_path)
    client_of(file, shop.url, []).on_start()

    theirs, ours = file.laws[shop.url], prepared(what, shop.url)["draws"]

    assert theirs["product"] == ours["product"] == {"law": "popular", "most": 24}
    assert theirs["deep"] == ours["deep"]
    assert (len(theirs["session"]["values"]), theirs["email"]["values"]) == (2, ["user-0@example.com", "user-1@example.com"])


# ------------------------------------------------------------------ a run

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a master and two workers: how many answers each worker had, and the master's figures for each request."""
    if not importlib.util.find_spec("locust"):
        pytest.skip("Locust is not installed here; it comes with uv sync --group beyond")
    folder = tmp_path_factory.mktemp("locust")
    locustfile(SCENARIO, folder / "locustfile.py")
    (folder / "count.py").write_text(COUNT, "utf-8")
    with serve("01-monolith", settings={"logins_per_address": 1_000_000, "logins_per_account": 1_000_000}) as shop:
        (_, *answered), codes = outputs(folder, shop.url, str(free_port()))
    with open(folder / "run_stats.csv", encoding="utf-8", newline="") as file:
        rows = {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}
    return SimpleNamespace(answered=list(map(int, answered)), codes=codes, total=rows.pop(("", "Aggregated")), rows=rows)


def outputs(folder, url, port):
    """What the master and its workers printed, and their exit codes; none of them runs any longer, whatever happened."""
    locust = [sys.executable, "-m", "locust", "-f", "locustfile.py,count.py"]
    master = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2",
              "--expect-workers-max-wait", "30", "--headless", "-H", url, "-u", str(USERS), "-r", str(USERS),
              "-t", f"{SECONDS}s", "--csv", "run", "--only-summary"]
    worker = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
    processes = [subprocess.Popen([*locust, *how], cwd=folder, stdout=subprocess.PIPE, text=True)
                 for how in (master, worker, worker)]
    try:
        printed = [process.communicate(timeout=ENDS_WITHIN_S)[0] for process in processes]
        return printed, [process.returncode for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def test_both_workers_take_part(run):
    assert len(run.answered) == 2
    assert min(run.answered) > 0.2 * sum(run.answered)
    assert sum(run.answered) == int(run.total["Request Count"])


def test_each_request_of_the_scenario_comes_as_often_as_its_weight_says(run):
    total, weights = int(run.total["Request Count"]), sum(step.weight for step in SCENARIO.steps)

    assert set(run.rows) == {(step.method, step.path) for step in SCENARIO.steps}
    for step in SCENARIO.steps:
        count, share = int(run.rows[step.method, step.path]["Request Count"]), step.weight / weights
        # Within five standard deviations; and the end of the run cut each user's last request off.
        assert abs(count - total * share) < 5 * sqrt(total * share * (1 - share)) + USERS, step


def test_no_request_fails(run):
    assert {name: row["Failure Count"] for name, row in run.rows.items()} == dict.fromkeys(run.rows, "0")
    assert run.codes == [0, 0, 0]
