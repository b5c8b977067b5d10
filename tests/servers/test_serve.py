"""The shop in the background, from one line: ready when serve() returns."""
import pytest
import requests

from webscale.servers import serve


@pytest.fixture(scope="module")
def shop():
    """A shop that is running."""
    with serve("01-monolith") as server:
        yield server


def test_a_server_answers_as_soon_as_serve_returns(shop):
    assert requests.get(f"{shop.url}/livez").json() == {"status": "alive"}


def test_it_shows_itself_in_one_line(shop):
    assert repr(shop) == f"<01-monolith at {shop.url}, running>"


def test_several_run_at_once_and_share_nothing(shop):
    with serve("01-monolith") as other, other.session() as client:
        client.post(f"{other.url}/accounts", json={"email": "pat@example.com", "password": "correct horse"})
        login = {"email": "pat@example.com", "password": "correct horse"}

        assert client.post(f"{other.url}/session", json=login).status_code == 201
        assert client.post(f"{shop.url}/session", json=login).status_code == 401


def test_a_setting_is_used():
    with serve("01-monolith", settings={"seed": "none"}) as server:
        assert requests.get(f"{server.url}/products").json()["items"] == []


def test_a_middleware_can_be_taken_away():
    with serve("01-monolith", without=["SecurityHeaders"]) as server:
        assert "X-Content-Type-Options" not in requests.get(f"{server.url}/livez").headers


def test_proxies_are_not_asked_for_our_own_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")   # where nobody listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "example.com")

    with serve("01-monolith") as server:
        assert requests.get(f"{server.url}/livez").status_code == 200
