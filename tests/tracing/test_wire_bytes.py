"""The bytes on the wire, as they were and as they are shown; and the request as a line for a shell."""
import json
import shlex
import subprocess
import sys

import pytest
import requests

from webscale import wire
from webscale.tracing import trace


def test_all_bytes_are_kept_as_they_were(shop):
    with shop.session() as session, wire.recorded(session, shop.url) as log:
        response = session.get(shop.url + "/products/1", timeout=10)

    assert log.sent.startswith(b"GET /products/1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert log.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert log.received.endswith(b"\r\n\r\n" + response.content)


def test_a_large_answer_in_many_pieces_is_kept_whole(shop):
    with shop.session() as session, wire.recorded(session, shop.url) as log:
        response = session.get(shop.url + "/openapi.yaml", timeout=10)

    assert log.received.endswith(response.content) and len(response.content) > 10_000


def test_a_body_that_is_sent_in_chunks_is_kept_too(shop):
    with shop.session() as session, wire.recorded(session, shop.url) as log:
        session.post(shop.url + "/session", data=iter([b"{", b"}"]), headers={"Content-Type": "application/json"}, timeout=10)

    assert log.sent.endswith(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")


def test_the_bytes_are_shown_as_they_were_where_nothing_is_secret(shop):
    found = trace(shop, "GET", "/products/1")

    assert found.request_bytes.splitlines()[0] == "GET /products/1 HTTP/1.1"
    assert found.response_bytes.splitlines()[0] == "HTTP/1.1 200 OK"
    assert found.response_bytes.splitlines()[-1] == found.response.text


def test_cookies_are_named_but_not_shown(shop, pat):
    assert "Cookie: session=‹hidden›" in trace(shop, "GET", "/account", session=pat).request_bytes


@pytest.mark.parametrize("text, readable", [
    ('{"password": "a \\" b", "id": 3}', '{"password": "‹hidden›", "id": 3}'),
    ('{"password":12345,"stock":12345}', '{"password":"‹hidden›","stock":12345}'),
    ('{"a": {"email": "pat@example.com"}}', '{"a": {"email": "‹hidden›"}}'),
    ("email=pat%40example.com&limit=3&password=secret", "email=‹hidden›&limit=3&password=‹hidden›"),
    ("Invalid HTTP request received.", "Invalid HTTP request received."),
    ("write to pat@example.com", "write to ‹hidden›"),
])
def test_hidden_fields_of_a_body_are_masked_in_place(text, readable):
    assert wire.readable(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + text.encode(), set()).rpartition("\n")[2] == readable


def curl_of(body, headers=()):
    request = requests.Request("POST", "http://127.0.0.1:1/x", json=body, headers=dict(headers)).prepare()
    return wire.curl(request, dict(headers), wire.hidden_values(body))


def test_curl_is_the_request_as_a_shell_reads_it():
    arguments = shlex.split(curl_of({"name": "it's", "stock": 3}, {"Idempotency-Key": "k 1"}))

    assert arguments == ["curl", "-X", "POST", "http://127.0.0.1:1/x", "-H", "Idempotency-Key: k 1", "-H",
                         "Content-Type: application/json", "-d", '{"name": "it\'s", "stock": 3}']


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_shell_puts_the_secrets_back():
    line = curl_of({"email": "pat@example.com", "password": "it's $HOME", "seller": True}).partition(" -d ")[2]

    printed = subprocess.run(["sh", "-c", f"printf %s {line}"], capture_output=True, text=True, check=True,
                             env={"EMAIL": "pat@example.com", "PASSWORD": "it's $HOME"}).stdout

    assert json.loads(printed) == {"email": "pat@example.com", "password": "it's $HOME", "seller": True}
