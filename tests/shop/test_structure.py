"""The arrows between the files of the shop point one way."""
import ast
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[2] / "examples" / "01-monolith" / "shop"
FILES = sorted(SHOP.rglob("*.py"))
FEATURES = ["accounts", "catalog", "orders", "history"]


def imported(path):
    """The names of all modules that the file imports, and of what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SHOP).as_posix())
def test_the_shop_runs_without_webscale(path):
    assert not [name for name in imported(path) if name.startswith("webscale")]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_knows_no_http(feature):
    names = list(imported(SHOP / feature / "feature.py"))

    assert not [name for name in names if name.startswith(("starlette", "uvicorn", "shop.responses", "shop.requests"))]
    assert not [name for name in names if name.endswith("controller")]


@pytest.mark.parametrize("feature", FEATURES)
def test_crud_knows_the_database_and_nothing_else(feature):
    names = list(imported(SHOP / feature / "crud.py"))

    assert names == ["shop.database.Row"]


@pytest.mark.parametrize("feature", FEATURES)
def test_sql_stands_in_crud_only(feature):
    for name in ["controller.py", "feature.py"]:
        text = (SHOP / feature / name).read_text("utf-8")
        assert not [word for word in ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"] if word in text]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_meets_another_only_at_its_feature(feature):
    others = [f"shop.{other}.crud" for other in FEATURES if other != feature]
    for path in (SHOP / feature).glob("*.py"):
        assert not [name for name in imported(path) if name in others]
