import base64
import json
import re
import subprocess
import sys

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from webscale import record
from webscale.record import clean

PNG = base64.b64encode(b"\x89PNG stored").decode()
PICTURE = """
class Picture:
    def __repr__(self): return "<Picture>"
    def _repr_png_(self): return b"\\x89PNG another"
Picture()
"""
TIMED = "import time\nprint(f'It took {time.perf_counter():.6f} ms.')"


def notebook(path, *sources, tags=(), **metadata):
    """A notebook file with these cells; the tags are those of its last cell."""
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{place}") for place, source in enumerate(sources)]
    cells[-1].metadata["tags"] = list(tags)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def cells(path):
    return nbformat.read(path, 4).cells


def edit(path, change):
    stored = nbformat.read(path, 4)
    change(stored.cells)
    nbformat.write(stored, path)


def run_program(*arguments, cwd):
    return subprocess.run([sys.executable, "-m", "webscale.record", *arguments], cwd=cwd, capture_output=True,
                          encoding="utf-8", timeout=100, check=False)


@pytest.mark.parametrize("ms", ["95", "950", "4,850", "48,500", "0.9", "1.2e-05", "∞"])
@pytest.mark.parametrize("text", ["you said 100 ms, measured {} ms.", "{} µs", "{} s|", "({} % of it)", "{} req/s", "{}ms",
                                  "{} MB, {} KB", "<td>{} times</td>", "a bare beginning: {} ms"])
def test_a_number_that_bears_a_unit_is_masked_whatever_it_is(text, ms):
    assert clean(text.format(ms, ms)) == clean(text.format("95", "95"))


def test_columns_that_are_aligned_by_spaces_read_the_same():
    assert clean("Sessions       95.0 ms of    950 ms") == clean("Sessions    4,850.0 ms of 48,500 ms")


@pytest.mark.parametrize("text", ["24 products", "p95", "/products/7", "status 201", "3 stages", "HTTP/1.1 200", "5 msgs",
                                  "order 17 stands", "1 row"])
def test_a_number_without_a_unit_is_compared(text):
    assert clean(text) == text


@pytest.mark.parametrize(("one", "other"), [
    ("<shop at http://127.0.0.1:40123, running>", "<shop at http://127.0.0.1:8, running>"),
    ("date: Sun, 22 Nov 2026 21:30:55 GMT", "date: Mon, 01 Jan 2029 01:02:03 GMT"),
    ('{"ordered_at":"2026-11-22T22:23:29Z"}', '{"ordered_at":"2027-01-02T03:04:05Z"}'),
    ("x-request-id: 17b3d6f0f174109a076ee8e5ba510f55", "x-request-id: 00000000000000000000000000000001"),
])
def test_ports_dates_and_random_ids_are_masked(one, other):
    assert clean(one) == clean(other)


def test_the_sanitising_file_is_ascii_and_nbval_reads_all_of_it():
    text = record.SANITISER.read_text("ascii")

    assert get_sanitize_patterns(text) == record.masks()
    assert len(record.masks()) == text.count("regex:") == text.count("replace:")


def test_recording_again_changes_not_a_byte(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "1 + 1", TIMED, PICTURE)
    record.record(path)
    first = path.read_bytes()

    assert record.record(path).startswith("a.ipynb: 0 of 3 cells changed, ")
    assert path.read_bytes() == first


def test_only_the_edited_cell_changes(tmp_path):
    path = notebook(tmp_path / "a.ipynb", TIMED, "6 * 7")
    record.record(path)
    before = cells(path)[0]

    edit(path, lambda cells: cells[1].update(source="6 * 9"))

    assert record.record(path).startswith("a.ipynb: 1 of 2 cells changed")
    assert cells(path)[0] == before
    assert cells(path)[1].outputs[0].data["text/plain"] == "54"


def test_a_picture_is_kept_while_its_cell_reads_the_same(tmp_path):
    path = with_stored_picture(tmp_path)

    record.record(path)

    assert cells(path)[0].outputs[0].data["image/png"].strip() == PNG


def test_a_picture_is_replaced_when_its_cell_was_edited_since_the_commit(tmp_path):
    path = with_stored_picture(tmp_path)
    commit(path)
    edit(path, lambda cells: cells[0].update(source=PICTURE + "# now"))

    record.record(path)

    assert cells(path)[0].outputs[0].data["image/png"].strip() != PNG


def test_every_picture_is_replaced_if_we_ask_for_it(tmp_path):
    path = with_stored_picture(tmp_path)

    record.record(path, fresh=True)

    assert cells(path)[0].outputs[0].data["image/png"].strip() != PNG


def with_stored_picture(folder):
    path = notebook(folder / "a.ipynb", PICTURE)
    picture = nbformat.v4.new_output("execute_result", {"text/plain": "<Picture>", "image/png": PNG})
    edit(path, lambda cells: cells[0].update(outputs=[picture]))
    return path


def test_a_picture_that_is_missing_from_the_file_is_stored(tmp_path):
    path = notebook(tmp_path / "a.ipynb", PICTURE)
    record.record(path)
    edit(path, lambda cells: cells[0].outputs[0].data.pop("image/png"))

    assert record.record(path).startswith("a.ipynb: 1 of 1")
    assert "image/png" in cells(path)[0].outputs[0].data


def test_the_output_that_was_committed_is_preferred(tmp_path):
    path = notebook(tmp_path / "a.ipynb", TIMED)
    record.record(path)
    committed = cells(path)
    commit(path)
    edit(path, lambda cells: cells[0].outputs[0].update(text="It took 1.0 ms.\n"))

    record.record(path)

    assert cells(path) == committed


def commit(path):
    for command in (["init", "-q"], ["add", path.name],
                    ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=path.parent, check=True)


def test_metadata_is_the_same_on_every_machine(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "1", widgets={"state": 1}, kernelspec={"name": "python3", "display_name": "Mine"})
    edit(path, lambda cells: cells[0].metadata.update(scrolled=True, nbgrader={"grade": True}, execution={"iopub": "now"}))

    record.record(path)

    stored = nbformat.read(path, 4)
    assert stored.metadata == record.NOTEBOOK_METADATA
    assert stored.cells[0].metadata == {"tags": [], "nbgrader": {"grade": True}}


def test_cells_keep_their_ids_and_are_numbered_from_the_top(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "1", "2")
    edit(path, lambda cells: cells[0].update(execution_count=17))

    record.record(path)

    assert [(cell.id, cell.execution_count, cell.outputs[0].execution_count) for cell in cells(path)] == \
        [("cell-0", 1, 1), ("cell-1", 2, 2)]


def test_an_old_notebook_without_ids_gets_the_same_ones_each_time(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "1", "2")
    stored = json.loads(path.read_text("utf-8"))
    stored["nbformat_minor"] = 4
    for cell in stored["cells"]:
        del cell["id"]
    path.write_text(json.dumps(stored), encoding="utf-8")

    record.record(path)

    assert [cell.id for cell in cells(path)] == ["cell-0", "cell-1"]


@pytest.mark.parametrize(("failing", "error"), [("1 / 0", "ZeroDivisionError"), ("%nosuchmagic", "UsageError")])
def test_a_failing_cell_stops_the_program_and_leaves_the_file(tmp_path, failing, error):
    path = notebook(tmp_path / "a.ipynb", "a = 1", failing)
    before = path.read_bytes()

    with pytest.raises(SystemExit) as stopped:
        record.main([str(path)])

    assert stopped.value.code.startswith(f"a.ipynb: this cell failed, and the file is as it was:\n\n{failing}\n\n")
    assert error in stopped.value.code
    assert path.read_bytes() == before


def test_a_cell_that_kills_its_kernel_is_named(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "import os; os._exit(1)")

    with pytest.raises(record.RecordFailed, match="os._exit"):
        record.record(path)


def test_a_cell_that_may_fail_is_stored_without_the_machines_folders(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "from webscale.claims import claim\nclaim('Pigs fly', False)", tags=["raises-exception"])

    record.record(path)

    error = cells(path)[0].outputs[0]
    assert error.ename == "ClaimFailed"
    assert str(record.ROOT) not in json.dumps(error) and "claims.py" in "".join(error.traceback)


def test_a_cell_that_should_fail_and_does_not_is_refused(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "1", tags=["raises-exception"])

    with pytest.raises(record.RecordFailed, match="tagged raises-exception and raised nothing:\n\n1"):
        record.record(path)


def test_what_stderr_says_is_not_compared_but_that_it_speaks_is(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "import sys, time\nprint(time.time(), file=sys.stderr)")
    record.record(path)

    assert record.record(path).startswith("a.ipynb: 0 of 1")
    edit(path, lambda cells: cells[0].outputs.clear())
    assert record.record(path).startswith("a.ipynb: 1 of 1")


def test_the_program_understands_stars_and_says_what_it_did(tmp_path):
    notebook(tmp_path / "a.ipynb", "1")
    notebook(tmp_path / "b.ipynb", "2")

    done = run_program("*.ipynb", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == \
        ["a.ipynb: 1 of 1 cells changed", "b.ipynb: 1 of 1 cells changed"]


@pytest.mark.parametrize(("arguments", "said"), [([], "Which notebooks? Try"), (["no.ipynb"], "There is no notebook no.ipynb.")])
def test_without_a_notebook_it_fails_and_says_so(arguments, said):
    with pytest.raises(SystemExit, match=re.escape(said)):
        record.main(arguments)


def test_a_notebook_runs_in_its_own_folder(tmp_path):
    (tmp_path / "near.txt").write_text("near", encoding="utf-8")
    path = notebook(tmp_path / "a.ipynb", "print(open('near.txt').read())")

    record.record(path)

    assert cells(path)[0].outputs[0].text == "near\n"
