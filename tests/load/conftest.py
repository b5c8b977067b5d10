"""A server that behaves."""
import pytest

from webscale.servers import serve


@pytest.fixture(scope="session")
def shop():
    """The monolith, with the small seed."""
    with serve("01-monolith") as server:
        yield server
