"""What the clients ask for: one request, or a mix of them, with logins, bodies and ids drawn from a seed.

A scenario is data. The load generator reads it, and so does Locust (webscale.beyond), for those who outgrow one machine.
A `$word` in a path, header or body is drawn anew for each request; `prepared` says from what.
"""
import json
import re
from dataclasses import asdict, dataclass, field, replace

import requests

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Step:
    """One kind of request, and how often it comes compared with the others."""

    method: str
    path: str
    body: object = None      # sent as JSON
    key: bool = False        # with an Idempotency-Key of its own
    logged_in: bool = True   # with the cookie of one of the users
    weight: float = 1
    headers: dict = field(default_factory=dict)

    def with_header(self, name: str, value: str) -> "Step":
        """The same step, sent with the header."""
        return replace(self, headers={**self.headers, name: value})

    def weighing(self, weight: float) -> "Step":
        """The same step, as often as that."""
        return replace(self, weight=weight)


@dataclass(frozen=True)
class Scenario:
    """What the clients do: steps, each as often as its weight says, by users who logged in before the clock started."""

    name: str
    steps: tuple[Step, ...]
    users: int = 0    # so many accounts share the requests
    orders: int = 0   # that each of them placed before


LINES = {"lines": [{"product_id": "$product", "quantity": 1}]}
BROWSE = (
    Step("GET", "/products/$product", weight=60),         # popular ones more often than others
    Step("GET", "/products?limit=20", weight=15),         # the first page
    Step("GET", "/products?after=$deep&limit=20", weight=10),   # a page deep down
    Step("GET", "/history?limit=10", weight=15),
)
BUY = Step("POST", "/orders", LINES, key=True, weight=10)
# A login costs as much as hundreds of reads, by design: there are few of them here, as in life.
LOG_IN = Step("POST", "/session", {"email": "$email", "password": PASSWORD}, logged_in=False, weight=0.1)

SCENARIOS = {
    "browse": Scenario("browse", BROWSE, users=8, orders=10),
    "buy": Scenario("buy", (BUY,), users=8),
    "mixed": Scenario("mixed", (*BROWSE, BUY, LOG_IN), users=8, orders=10),
}


def scenario(what: "str | Scenario") -> Scenario:
    """The scenario of that name, or of one GET of the path; ValueError if there is none or it asks for nothing."""
    if isinstance(what, str):
        if not what.startswith("/") and what not in SCENARIOS:
            raise ValueError(f"There is no scenario {what!r}; there are: {', '.join(SCENARIOS)}, or a path such as /livez.")
        what = SCENARIOS.get(what) or Scenario(what, (Step("GET", what, logged_in=False),))
    if not what.steps or sum(step.weight for step in what.steps) <= 0 or min(step.weight for step in what.steps) < 0:
        raise ValueError(f"The scenario {what.name!r} asks for nothing: give it steps with weights above zero.")
    if not what.users and (step := next(filter(needs_users, what.steps), None)):
        raise ValueError(f"{step.method} {step.path} of the scenario {what.name!r} needs users: say users=8, or logged_in=False.")
    return what


def needs_users(step: Step) -> bool:
    """Whether the step is a user's, or draws a $word that only a scenario with users knows."""
    return step.logged_in or bool(re.search(r"\$(?!key\b)\w", f"{step.path}{step.body}{step.headers}"))


# ------------------------------------------------------------------ before the clock starts

signed_up: dict[str, list[tuple[str, str]]] = {}   # of each server, the users' e-mail addresses and session tokens


def prepared(what: Scenario, url: str) -> dict:
    """The scenario as the generator wants it, once its users are logged in at the server and have bought things."""
    steps = [asdict(step) for step in what.steps]
    if not what.users:
        return {"steps": steps, "draws": {}}
    # A port may belong to another server by now, which knows nobody.
    users = signed_up[url] = [user for user in signed_up.get(url, []) if is_known(url, user[1])]
    while len(users) < what.users:
        users.append(new_user(url, f"user-{len(users)}@example.com", what.orders))
    products = last_product(url)
    return {"steps": steps, "draws": {
        "product": {"law": "popular", "most": products},
        "deep": {"law": "uniform", "least": products // 2, "most": products - 1},
        "session": {"law": "one of", "values": [token for _, token in users]},
        "email": {"law": "one of", "values": [email for email, _ in users]},
    }}


def is_known(url: str, token: str) -> bool:
    """Whether the server takes the token."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/account", cookies={"session": token}, timeout=10).ok


def new_user(url: str, email: str, orders: int) -> tuple[str, str]:
    """The e-mail address and the session token of a user who has signed up, logged in and bought things."""
    with requests.Session() as session:
        session.trust_env = False
        who = {"email": email, "password": PASSWORD}
        sent(session, "POST", f"{url}/accounts", who, (201, 409))
        sent(session, "POST", f"{url}/session", who, (200, 201, 204))
        for number in range(orders):
            lines = [{"product_id": 1 + (number + place) % 20, "quantity": 1} for place in range(3)]
            sent(session, "POST", f"{url}/orders", {"lines": lines}, (200, 201, 202, 409), key=f"{email}-{number}")
        return email, session.cookies["session"]


def sent(session: requests.Session, method: str, url: str, body: object, fine: tuple[int, ...], key: str = "") -> None:
    """Nothing is returned; ValueError says what the server had against it."""
    answer = session.request(method, url, json=body, timeout=10, headers={"Idempotency-Key": key} if key else {})
    if answer.status_code not in fine:
        raise ValueError(f"The users of this scenario cannot be made ready: {method} {url} was answered with "
                         f"{answer.status_code} {answer.text[:200]!r}.")


def last_product(url: str) -> int:
    """The largest id of a product, found by halving."""
    with requests.Session() as session:
        session.trust_env = False

        def more_after(id: int) -> bool:
            return bool(session.get(f"{url}/products", params={"after": id, "limit": 1}, timeout=10).json()["items"])

        low, high = 0, 1   # there is one after low, unless the shop is empty
        while more_after(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if more_after(middle) else (low, middle)
        return high


def as_json(what: Scenario) -> str:
    """The scenario as text, for other programs."""
    return json.dumps(asdict(what), indent=2)
