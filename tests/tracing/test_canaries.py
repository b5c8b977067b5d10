"""A password, a token, a cookie and an e-mail address are planted; no view, file, log or message may hold them."""
import json
import os
import re

import pytest

from webscale.servers import serve
from webscale.tracing import trace

PASSWORD, EMAIL, OTHER_COOKIE, BEARER = "pw-canary-8f2c", "canary@nest.example", "cookie-canary-51d0", "bearer-canary-77ab"


@pytest.fixture(scope="module")
def visit():
    """A server, the traces of all that a visitor did there, and the secrets that took part."""
    with serve("01-monolith") as server, server.session() as session:
        session.cookies.set("other", OTHER_COOKIE)
        who = {"email": EMAIL, "password": PASSWORD}
        asked = [
            ("POST", "/accounts", {**who, "seller": True}), ("POST", "/accounts", who), ("POST", "/session", who),
            ("POST", "/session", {**who, "password": PASSWORD + "!"}), ("POST", "/session", {"email": PASSWORD, "password": "x"}),
            ("GET", "/account", None), ("GET", f"/products?after=1&token={PASSWORD}", None), ("GET", f"/users/{EMAIL}", None),
            ("POST", "/orders", {"lines": [{"product_id": 1, "quantity": 1}]}), ("POST", "/orders", {PASSWORD: 1, "lines": [PASSWORD]}),
            ("GET", "/history", None), ("GET", "/users/" + EMAIL.replace("@", "%40"), None), ("DELETE", "/session", None),
        ]
        traces, cookies = [], set()
        for method, path, body in asked:
            traces.append(trace(server, method, path, session=session, json=body, headers={
                "Idempotency-Key": os.urandom(4).hex(), "Authorization": f"Bearer {BEARER}", "X-Token": BEARER}))
            cookies.update(session.cookies.values())
        assert [each.status for each in traces] == [201, 409, 201, 401, 400, 200, 200, 404, 201, 400, 200, 404, 204]
        yield server, traces, {PASSWORD, EMAIL, EMAIL.replace("@", "%40"), BEARER, *cookies}


def assert_clean(text, secrets):
    """Nothing is returned; none of the secrets is in the text, as it is or as JSON or HTML writes it."""
    for secret in secrets:
        for written in {secret, json.dumps(secret)[1:-1], secret.replace("@", "&#64;")}:
            assert written not in text, f"{secret} in {re.findall('.{0,80}' + re.escape(written) + '.{0,40}', text)[:1]}"


def test_there_were_secrets(visit):
    _, traces, secrets = visit

    assert len(secrets) == 6   # the session's cookie and the other one among them
    assert PASSWORD in traces[2].response.request.body.decode()


def test_the_table_holds_none(visit):
    _, traces, secrets = visit

    for each in traces:
        assert_clean(each.table() + each.table(helpers=True) + repr(each), secrets)


def test_the_sources_hold_none(visit):
    _, traces, secrets = visit

    for each in traces:
        for stage in each.stages:
            assert_clean(each.source(stage.name), secrets)


def test_the_stages_and_steps_hold_none(visit):
    _, traces, secrets = visit

    for each in traces:
        for stage in each.stages:
            assert_clean(repr(vars(stage)), secrets)
        for step in each.steps:
            assert_clean(repr(vars(step)) + repr(step), secrets)


def test_the_curl_line_holds_none(visit):
    _, traces, secrets = visit

    for each in traces:
        assert_clean(each.curl, secrets)
    assert "$PASSWORD" in traces[2].curl and "$SESSION" in traces[5].curl


def test_the_bytes_on_the_wire_hold_none(visit):
    _, traces, secrets = visit

    for each in traces:
        assert_clean(each.request_bytes + each.response_bytes, secrets)


def test_opentelemetry_gets_none(visit):
    _, traces, secrets = visit

    for each in traces:
        assert_clean(json.dumps(each.otlp()), secrets)


def test_what_left_the_server_by_its_pipe_holds_none(visit):
    server, traces, secrets = visit

    assert len(server.traces) == len(traces)
    assert_clean(json.dumps(list(server.traces)) + json.dumps(list(server.traces), ensure_ascii=False), secrets)


def test_the_log_and_the_files_hold_none(visit):
    server, _, secrets = visit

    for path in server.scratch.rglob("*"):
        text = path.read_bytes().decode("latin-1")
        # An account is its e-mail address, so the database holds that; nothing else.
        assert_clean(text, secrets - {EMAIL} if ".db" in path.name else secrets)


def test_the_stepper_holds_none(visit):
    pytest.importorskip("webscale.widgets")
    from ipywidgets import Widget
    _, traces, secrets = visit

    for each in traces:
        state = Widget.get_manager_state if hasattr(Widget, "get_manager_state") else None
        widget = each.stepper()
        assert_clean(repr(widget) + str(state() if state else ""), secrets)


def test_the_waterfall_holds_none(visit):
    charts = pytest.importorskip("webscale.charts")
    if not hasattr(charts, "waterfall"):
        pytest.skip("The waterfall is not drawn yet.")
    from matplotlib.text import Text
    _, traces, secrets = visit

    for each in traces:
        assert_clean(" ".join(text.get_text() for text in each.waterfall().findobj(Text)), secrets)
