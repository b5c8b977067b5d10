"""Lab 01 grades what it should: the starter fails, the solution passes, and each plausible mistake is named."""
import pytest

STARTER = "raise NotImplementedError()"

NUMBER_MISTAKES = {
    "the id is kept on self": ("Keep the id in a local variable", """
self.id = dict(scope["headers"]).get(b"x-request-id", uuid.uuid4().hex.encode())
scope["state"]["request_id"] = self.id.decode()
async def send_with_id(message):
    if message["type"] == "http.response.start":
        message["headers"].append((b"x-request-id", self.id))
    await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "one id for all": ("Is it made once in __init__?", """
request_id = dict(scope["headers"]).get(b"x-request-id", str(id(self)).encode())
scope["state"]["request_id"] = request_id.decode()
async def send_with_id(message):
    if message["type"] == "http.response.start":
        message["headers"].append((b"x-request-id", request_id))
    await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "the client's id is ignored": ("Keep the one that it came with", """
request_id = uuid.uuid4().hex
scope["state"]["request_id"] = request_id
async def send_with_id(message):
    if message["type"] == "http.response.start":
        message["headers"].append((b"x-request-id", request_id.encode()))
    await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "a header for every message": ("add headers to http.response.start only", """
request_id = uuid.uuid4().hex
async def send_with_id(message):
    message["headers"].append((b"x-request-id", request_id.encode()))
    await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "the body is swallowed": ("Pass on EVERY message", """
request_id = uuid.uuid4().hex
async def send_with_id(message):
    if message["type"] == "http.response.start":
        message["headers"].append((b"x-request-id", request_id.encode()))
        await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "the layers behind do not know": ("The layers behind yours do not know the id", """
request_id = dict(scope["headers"]).get(b"x-request-id", uuid.uuid4().hex.encode())
async def send_with_id(message):
    if message["type"] == "http.response.start":
        message["headers"].append((b"x-request-id", request_id))
    await send(message)
await self.app(scope, receive, send_with_id)
"""),
    "nothing is sent back": ("The response has no X-Request-Id", """
scope["state"]["request_id"] = uuid.uuid4().hex
await self.app(scope, receive, send)
"""),
}

LIMIT = """
client = dict(scope["headers"]).get(b"x-client", b"")
now = time.monotonic()
recent = [at for at in self.times.get(client, []) if now - at < self.window_s]
self.times[client] = recent
if len(recent) >= self.most:
    response = PlainTextResponse("Too many requests", 429, headers={"Retry-After": "1"})
    return await response(scope, receive, send)
recent.append(now)
await self.app(scope, receive, send)
"""

LIMIT_MISTAKES = {
    "one count for all": ("ben was refused for what ann did",
                          LIMIT.replace('dict(scope["headers"]).get(b"x-client", b"")', 'b""')),
    "the window never ends": ("Forget requests that are older than window_s",
                              LIMIT.replace("if now - at < self.window_s", "")),
    "one too many": ("Count exactly: refuse when", LIMIT.replace(">= self.most", "> self.most")),
    "one too few": ("Count exactly: most=3 lets three in", LIMIT.replace(">= self.most", ">= self.most - 1")),
    "the wrong status": ("has a status of its own: 429", LIMIT.replace("429", "403")),
    "no Retry-After": ("add Retry-After, in whole seconds", LIMIT.replace(', headers={"Retry-After": "1"}', "")),
    "the shop is asked all the same": ("return without calling self.app", LIMIT.replace(
        "    return await response(scope, receive, send)\n", "    await self.app(scope, receive, ignored)\n"
        "    return await response(scope, receive, send)\n").replace(
        "client = dict", "async def ignored(message): pass\nclient = dict")),
    "sleeping instead of refusing": ("a limiter that sleeps makes everybody wait", LIMIT.replace(
        "    response =", "    time.sleep(2)\n    response =")),
}


TASKS = {"request-number": ["request-number-check", "request-number-hidden"],
         "rate-limit": ["rate-limit-check", "rate-limit-hidden"]}


@pytest.fixture(scope="module")
def lab(open_lab):
    """The lab in a kernel, ready for answers."""
    return open_lab("01-middleware", before=["setup", "ask"])


@pytest.mark.parametrize("task", TASKS)
def test_the_solution_passes_every_check(lab, task):
    assert lab.grade(task, TASKS[task]) is None


@pytest.mark.parametrize("task", TASKS)
def test_the_starter_fails(lab, task):
    assert lab.grade(task, TASKS[task], STARTER)


@pytest.mark.parametrize("message, answer", NUMBER_MISTAKES.values(), ids=NUMBER_MISTAKES.keys())
def test_a_mistake_in_request_number_is_named(lab, message, answer):
    assert message in lab.grade("request-number", TASKS["request-number"], answer)


@pytest.mark.parametrize("message, answer", LIMIT_MISTAKES.values(), ids=LIMIT_MISTAKES.keys())
def test_a_mistake_in_the_rate_limiter_is_named(lab, message, answer):
    assert message in lab.grade("rate-limit", TASKS["rate-limit"], answer)
