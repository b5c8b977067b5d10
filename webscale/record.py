"""Run notebooks from a clean kernel and store their outputs, with diffs as small as the change.

    python -m webscale.record notebooks/*.ipynb
    python -m webscale.record --fresh notebooks/01-request.ipynb    # when what draws its figures has changed

A cell's stored output, pictures included, is replaced only if its source changed, or its text as strict
nbval compares it; with --fresh always. A notebook in which a cell fails is left as it was.
"""
import glob
import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import nbformat
from IPython.utils.path import compress_user
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

CELL_TIMEOUT_S = 60
ROOT = Path(__file__).resolve().parent.parent
SANITISER = ROOT / "nbval_sanitize.cfg"
FOLDERS = [sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(ROOT)]   # an inner folder before its outer
NOT_COMPARED = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}
KEPT_METADATA = {"tags", "nbgrader", "deletable", "editable", "jupyter"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class RecordFailed(Exception):
    """A notebook that could not be recorded; its file is as it was."""


def record(path: Path, fresh: bool = False) -> str:
    """One line on what changed, once the notebook has been run and its outputs stored."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    former = [] if fresh else [*committed(path), nbformat.read(path, as_version=4)]
    run(notebook, path)
    tidy(notebook)
    changed = sum(not keep_output(cell, former) for cell in code_cells(notebook))
    write(notebook, path)
    return f"{path.name}: {changed} of {len(code_cells(notebook))} cells changed, {time.perf_counter() - start:.1f} s"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def committed(path: Path) -> list[NotebookNode]:
    """The notebook as it was last committed: one, or none."""
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True,
                               check=False)
    except FileNotFoundError:   # there is no git here
        return []
    return [nbformat.reads(shown.stdout.decode("utf-8"), as_version=4)] if shown.returncode == 0 else []


def run(notebook: NotebookNode, path: Path) -> None:
    """Nothing is returned; the notebook's cells hold the outputs of a clean kernel in the notebook's folder."""
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", coalesce_streams=True,
                            extra_arguments=["--log-level=ERROR"],   # its warnings are about the network, not the notebook
                            record_timing=False, store_widget_state=False,
                            resources={"metadata": {"path": str(path.parent)}})
    started = []
    client.on_cell_start = lambda cell, cell_index: started.append(cell)
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise RecordFailed(f"{path.name}: this cell failed, and the file is as it was:\n\n{started[-1].source}\n\n"
                           f"{getattr(error, 'traceback', '') or error}") from None
    for cell in code_cells(notebook):
        if "raises-exception" in cell.metadata.get("tags", []) and not raised(cell):
            raise RecordFailed(f"{path.name}: this cell is tagged raises-exception and raised nothing:\n\n{cell.source}")


def raised(cell: NotebookNode) -> bool:
    """Whether the cell ended in an error."""
    return any(output.output_type == "error" for output in cell.outputs)


def tidy(notebook: NotebookNode) -> None:
    """Nothing is returned; what differs from machine to machine is gone from the notebook's metadata."""
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat_minor = 5
    for place, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{place}")
        cell.metadata = {name: value for name, value in cell.metadata.items() if name in KEPT_METADATA}
    for count, cell in enumerate(code_cells(notebook), start=1):
        number_from(cell, count)


def number_from(cell: NotebookNode, count: int) -> None:
    """Nothing is returned; the cell and its result bear the number of a run from the top."""
    cell.execution_count = count
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = count
        if output.output_type == "error":
            output.traceback = [without_folders(line) for line in output.traceback]


def without_folders(text: str) -> str:
    """The text with the folders of this machine taken away from the names of files."""
    for folder in FOLDERS:
        text = text.replace(folder + os.sep, "").replace(compress_user(folder) + os.sep, "")
    return text


def keep_output(cell: NotebookNode, former: list[NotebookNode]) -> bool:
    """Whether a former notebook has this cell with the same outputs; if so, the cell now has those very ones."""
    for old in [old for notebook in former for old in code_cells(notebook) if old.get("id") == cell.id]:
        if old.source != cell.source:
            return False   # edited since it was committed: the picture on disk may be older than the edit
        if compared(old) == compared(cell):
            cell.outputs = old.outputs
            number_from(cell, cell.execution_count)
            return True
    return False


def compared(cell: NotebookNode) -> list:
    """What of the cell's outputs strict nbval compares, with all masked that differs from run to run."""
    return [seen(output) for output in cell.outputs]


def seen(output: NotebookNode) -> tuple:
    """The output's texts and the kinds of its pictures."""
    if output.output_type == "stream":
        return output.name, None if output.name == "stderr" else clean(output.text)
    if output.output_type == "error":
        return output.ename, clean(output.evalue)
    return tuple((kind, None if kind in NOT_COMPARED else clean(data)) for kind, data in sorted(output.data.items()))


def clean(data: object) -> object:
    """The text with everything masked that nbval masks; what is no text comes back as it is."""
    for pattern, replacement in masks():
        data = re.sub(pattern, replacement, data) if isinstance(data, str) else data
    return data


def masks() -> list[tuple[str, str]]:
    """The pairs of nbval's sanitising file, read as nbval reads them."""
    return re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITISER.read_text("ascii"), re.MULTILINE)


def write(notebook: NotebookNode, path: Path) -> None:
    """Nothing is returned; the file is replaced."""
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def main(arguments: list[str]) -> None:
    """Nothing is returned; each notebook's line is printed, and the first failure ends the program with 1."""
    patterns = [argument for argument in arguments if argument != "--fresh"]
    if not patterns:
        sys.exit("Which notebooks? Try: python -m webscale.record notebooks/*.ipynb")
    try:
        for path in [path for pattern in patterns for path in named(pattern)]:
            print(record(path, fresh="--fresh" in arguments), flush=True)
    except RecordFailed as failure:
        sys.exit(str(failure))


def named(pattern: str) -> list[Path]:
    """The notebooks that the pattern means. Windows' shells leave the star to us."""
    paths = [Path(name).resolve() for name in sorted(glob.glob(pattern))]
    if not paths:
        raise RecordFailed(f"There is no notebook {pattern}.")
    return paths


if __name__ == "__main__":
    main(sys.argv[1:])
