"""Strict nbval, made stricter by the root's conftest.py: what passes, what fails; and what every notebook stores."""
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from webscale import record

ROOT = Path(record.ROOT)
NOTEBOOKS = sorted(path for folder in ("notebooks", "labs") for path in (ROOT / folder).rglob("*.ipynb")
                   if not {"release", "submitted", "autograded", "feedback", ".ipynb_checkpoints"} & set(path.parts))
STEPPER = """
from webscale.tracing import Stage, Trace
stages = [Stage(name, None, 0, "router", name, "", 0, 1, 1) for name in ("a" * 60, "b" * 60, "{}")]
Trace("ab" * 16, "GET", "/", 200, None, 0, tuple(stages)).stepper()
"""
FIGURE = "from webscale.charts import request_path\n{}request_path('router')"
TABLE = "print('RequestId\\n{}\\nRouter')"
GUESS = "from webscale.claims import predict\npredict('p95', guess=100, unit='ms').check({})"
CLAIM = "from webscale.claims import claim\nclaim('Two is more than one', {} > 1)"
WARN = "import warnings\nwarnings.warn('{}')"
ERROR = "raise ValueError('{}')"

# What the cell said when it was recorded, what it says now, and what nbval must find; None: it passes.
CASES = {
    "the-same-table": (TABLE, "Sessions", "Sessions", None),
    "another-stage-in-the-table": (TABLE, "Sessions", "Session", "mismatch 'stdout'"),
    "95-ms": (GUESS, "123", "95", None),
    "950-ms": (GUESS, "123", "950", None),
    "4,850-ms": (GUESS, "123", "4850", None),
    "48,500-ms": (GUESS, "123", "48500", None),
    "another-figure": (FIGURE, "", "", None),
    "a-missing-figure": (FIGURE, "", "figure = ", "Missing output fields"),
    "an-unknown-magic": ("{}", "a = 1", "%nosuchmagic", "The kernel answered error"),
    "a-claim-that-no-longer-holds": (CLAIM, "2", "0", "ClaimFailed"),
    "another-warning": (WARN, "one", "two", None),
    "an-announced-error": (ERROR, "one", "one", None),
    "an-announced-error-with-another-message": (ERROR, "one", "two", "mismatch 'evalue'"),
    "the-same-stepper": (STEPPER, "Router", "Router", None),
    "a-stepper-with-another-last-stage": (STEPPER, "Router", "Routes", "mismatch 'text/plain'"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What nbval says of each case: they are the cells of one notebook, recorded, then changed, then checked."""
    folder = tmp_path_factory.mktemp("checked")
    for name in ("conftest.py", "nbval_sanitize.cfg"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")   # pytest looks for conftest.py up to here
    path = folder / "deeper" / "a.ipynb"
    path.parent.mkdir()
    cells = [nbformat.v4.new_code_cell(source.replace("{}", before), metadata={"tags": ["raises-exception"]} if
                                       source is ERROR else {}) for source, before, _, _ in CASES.values()]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    record.record(path)
    change(path)
    return by_case(nbval(path))


def change(path):
    stored = nbformat.read(path, 4)
    for cell, (source, _, now, _) in zip(stored.cells, CASES.values()):
        cell.source = source.replace("{}", now)
    nbformat.write(stored, path)


def nbval(path):
    # From the notebook's own folder, to see that the sanitising file is found from everywhere.
    done = subprocess.run([sys.executable, "-m", "pytest", "--nbval", "--color=no", "-q", "-p", "no:cacheprovider", path.name],
                          cwd=path.parent, capture_output=True, encoding="utf-8", errors="replace", timeout=200, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def by_case(said):
    """The part of nbval's report on each cell; none for a cell that passed."""
    parts = re.split(r"^_+ .*::Cell (\d+) _+$", said.partition("short test summary")[0], flags=re.MULTILINE)
    reports = dict(zip(map(int, parts[1::2]), parts[2::2]))
    return {name: reports.get(place) for place, name in enumerate(CASES)}


@pytest.mark.parametrize("case", [name for name, (*_, finds) in CASES.items() if finds is None])
def test_nbval_passes(found, case):
    assert found[case] is None


@pytest.mark.parametrize("case", [name for name, (*_, finds) in CASES.items() if finds])
def test_nbval_fails(found, case):
    assert CASES[case][-1] in (found[case] or "it passed")


def test_a_cell_has_sixty_seconds():
    options = SimpleNamespace(nbval=True, nbval_cell_timeout=2000)

    runpy.run_path(str(ROOT / "conftest.py"))["pytest_configure"](SimpleNamespace(option=options))

    assert options.nbval_cell_timeout == 60
    assert Path(options.nbval_sanitize_with) == ROOT / "nbval_sanitize.cfg"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestStored:
    """What stands in the notebooks that we have."""

    def test_every_cell_was_executed_in_order(self, path):
        # A cell without a number is not compared by nbval at all.
        counts = [cell.execution_count for cell in record.code_cells(nbformat.read(path, 4))]

        assert counts == list(range(1, len(counts) + 1))

    def test_no_error_is_stored_that_is_not_announced(self, path):
        cells = record.code_cells(nbformat.read(path, 4))

        assert [cell.source for cell in cells
                if record.raised(cell) and "raises-exception" not in cell.metadata.get("tags", [])] == []

    def test_nothing_is_stored_in_red(self, path):
        cells = record.code_cells(nbformat.read(path, 4))

        assert [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"] == []

    def test_no_folder_of_a_machine_is_stored(self, path):
        text = path.read_text("utf-8")

        assert [folder for folder in [str(ROOT), *record.FOLDERS] if folder in text] == []
