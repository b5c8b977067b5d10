"""Beyond one machine: the same traffic for Locust, whose workers send it from as many machines as there are.

    locustfile("mixed", "locustfile.py")

The file says how to run it. What it needs of us it holds as a copy of our source: a worker's machine needs Locust alone.
Locust is never imported here: its gevent makes a notebook's kernel hang.
"""
import inspect
from pathlib import Path

from webscale import generator, traffic

BEGINNING = '''
"""Who asks for what, for Locust: written by webscale.beyond, from the scenario that webscale.load sends, too.

    locust -f locustfile.py --master -H http://HOST:PORT            on one machine, whose web page starts the run
    locust -f locustfile.py --worker --master-host THAT-MACHINE     on each machine, once for each of its cores

A Locust user waits for its answer before it asks again: a closed loop, with as many clients as Locust has users.
"""
import json
import random
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import requests
from locust import FastHttpUser, events, task
'''
SCENARIO = """
def scenario(text: str) -> Scenario:
    \"\"\"The scenario that the JSON describes.\"\"\"
    what = json.loads(text)
    return Scenario(**{**what, "steps": tuple(Step(**step) for step in what["steps"])})


SCENARIO = scenario(r'''
%s
''')
WEIGHTS = [step.weight for step in SCENARIO.steps]
"""
BEFORE = '''
# ------------------------------------------------------------------ before the clock starts

signed_up: dict[str, list[tuple[str, str]]] = {}   # of each server, the users' e-mail addresses and session tokens
laws: dict[str, dict] = {}     # of each server, what the words are drawn from
signing_up = threading.Lock()   # Locust makes it one of gevent's


@events.test_start.add_listener
def begin_anew(**_: object) -> None:
    """Nothing is returned; since the last run the server may have forgotten everybody."""
    laws.clear()
'''
CLIENT = '''
# ------------------------------------------------------------------ the clients

class Client(FastHttpUser):
    """Asks, waits for the answer, asks again. A status of 400 or above counts as a failure."""

    network_timeout = connection_timeout = 10
    random = random.Random()

    def on_start(self) -> None:
        """Nothing is returned; the first client of this process had the users sign up, log in and buy things."""
        self.client.client.cookiejar = None   # each request has the cookie of a user who is drawn for it
        with signing_up:
            if self.host not in laws:
                laws[self.host] = prepared(SCENARIO, self.host)["draws"]
        self.draws = {name: self.draw(law) for name, law in laws[self.host].items()}
        self.draws["key"] = lambda: f"{self.random.getrandbits(64):x}"

    @task
    def ask(self) -> None:
        """Nothing is returned; a request was answered, of a step drawn by its weight."""
        step, drawn = self.random.choices(SCENARIO.steps, WEIGHTS)[0], {}

        def word(found: re.Match) -> str:   # the same wherever it stands in this request
            return str(drawn.setdefault(found[1], self.draws[found[1]]()))

        def filled(text: str) -> str:
            return re.sub(r"\\$(\\w+)", word, text)

        # Without the first one Locust asks for compressed answers.
        headers = {"Accept-Encoding": "identity", **{name: filled(value) for name, value in step.headers.items()}}
        if step.logged_in:
            headers["Cookie"] = filled("session=$session")
        if step.key:
            headers["Idempotency-Key"] = filled("$key")
        body = None
        if step.body is not None:
            headers["Content-Type"] = "application/json"
            body = filled(json.dumps(step.body).replace('"$product"', "$product"))   # a number
        self.client.request(step.method, filled(step.path), name=step.path, data=body, headers=headers,
                            allow_redirects=False)

'''


def locustfile(what: "str | traffic.Scenario", path: "str | Path" = "locustfile.py") -> Path:
    """The file that now holds the scenario, or the GET of a path, for Locust; ValueError if it asks for nothing."""
    path = Path(path)
    path.write_text(text(traffic.scenario(what)), "utf-8", newline="\n")
    return path


def text(what: traffic.Scenario) -> str:
    """The source of the locustfile."""
    literal = traffic.as_json(what).replace("'", "\\u0027")   # nothing in it ends the text that it stands in
    users = map(inspect.getsource, (traffic.prepared, traffic.is_known, traffic.new_user, traffic.sent, traffic.last_product))
    parts = [f"{BEGINNING}\nPASSWORD = {traffic.PASSWORD!r}", inspect.getsource(traffic.Step), inspect.getsource(traffic.Scenario),
             SCENARIO % literal, BEFORE, *users,
             CLIENT + inspect.getsource(generator.Requests.draw)]   # a method there and here
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
