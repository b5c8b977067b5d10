"""Strict nbval, made stricter by the root's conftest.py: what passes, what fails; and what every notebook stores."""
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from webscale import record
from webscale.claims import number

ROOT = Path(record.ROOT)
NOTEBOOKS = sorted(path for folder in ("notebooks", "labs") for path in (ROOT / folder).rglob("*.ipynb")
                   if not {"release", "submitted", "autograded", "feedback", ".ipynb_checkpoints"} & set(path.parts))
FIGURE = "from webscale.charts import request_path\nrequest_path('router')"
TABLE = "print('RequestId\\nSessions\\nRouter')"
GUESS = "from webscale.claims import predict\npredict('p95', guess=100, unit='ms').check({measured})"


@pytest.fixture
def check(tmp_path):
    """A function that records a notebook of one cell, changes the cell, and returns what nbval says, and with which code."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text("utf-8"), encoding="utf-8")
    (tmp_path / "nbval_sanitize.cfg").write_bytes((ROOT / "nbval_sanitize.cfg").read_bytes())

    def check(source, then=None, **metadata):
        path = tmp_path / "folder" / "a.ipynb"
        path.parent.mkdir(exist_ok=True)
        stored = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, metadata=metadata)])
        nbformat.write(stored, path)
        record.record(path)
        stored = nbformat.read(path, 4)
        stored.cells[0].source = then or source
        nbformat.write(stored, path)
        return nbval(path)

    return check


def nbval(path):
    # From another folder, to see that the sanitising file is found from everywhere.
    done = subprocess.run([sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", str(path)],
                          cwd=path.parent, capture_output=True, encoding="utf-8", timeout=100,
                          env={**os.environ, "PYTHONUTF8": "1"})
    return done.returncode, done.stdout + done.stderr


def test_an_unchanged_cell_passes(check):
    code, said = check(TABLE)

    assert code == 0, said


@pytest.mark.parametrize("measured", [95, 950, 4_850, 48_500])
def test_another_measurement_passes(check, measured):
    code, said = check(GUESS.format(measured=123), then=GUESS.format(measured=measured))

    assert code == 0, said
    assert number(measured) != number(123)


def test_a_table_with_another_stage_fails(check):
    code, said = check(TABLE, then=TABLE.replace("Sessions", "Session"))

    assert code == 1
    assert "mismatch 'stdout'" in said


def test_a_figure_that_is_missing_fails(check):
    code, said = check(FIGURE, then=FIGURE + ";")

    assert code == 1
    assert "Missing output fields" in said


def test_a_figure_that_is_there_passes(check):
    code, said = check(FIGURE)

    assert code == 0, said


def test_an_unknown_magic_fails(check):
    code, said = check("a = 1", then="%nosuchmagic")

    assert code == 1
    assert "The kernel answered error" in said


def test_a_claim_that_no_longer_holds_fails(check):
    claim = "from webscale.claims import claim\nclaim('Two is more than one', {} > 1)"

    assert check(claim.format(2), then=claim.format(0))[0] == 1


def test_an_error_that_is_announced_passes(check):
    code, said = check("1 / 0", tags=["raises-exception"])

    assert code == 0, said


def test_an_error_with_another_message_fails(check):
    assert check("1 / 0", then="raise ZeroDivisionError('other')", tags=["raises-exception"])[0] == 1


def test_a_warning_does_not_fail(check):
    code, said = check("import warnings\nwarnings.warn('one')", then="import warnings\nwarnings.warn('two')")

    assert code == 0, said


def test_a_stepper_with_another_stage_fails(check):
    shown = """
import webscale.tracing as t
def stage(name, id="0"): return t.Stage(id, None, 0, "router", name, "", 0, 1, 1)
t.Trace("ab" * 16, "GET", "/", 200, None, 0, tuple(stage(f"{n}" * 40, n) for n in "abc") + (stage("{last}", "4"),)).stepper()
""".replace("{last}", "{}")
    first = shown.replace('"{}"', '"Router"')

    assert check(first)[0] == 0
    assert check(first, then=shown.replace('"{}"', '"Routes"'))[0] == 1


def test_a_cell_has_sixty_seconds(check):
    # -o shows nothing of it, so that the option itself is asked.
    import conftest
    options = type("Options", (), {"nbval": True, "nbval_cell_timeout": 2000})()
    conftest.pytest_configure(type("Config", (), {"option": options}))

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
