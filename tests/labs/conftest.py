"""A lab in a kernel of its own, graded with other answers than its own."""
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LABS = Path(__file__).parents[2] / "labs"


@pytest.fixture(scope="module")
def open_lab():
    """A function: open_lab(name, before=[…]) is the lab of that name, with these cells run."""
    with ExitStack() as stack:
        def opened(name, before):
            lab = Lab(LABS / name / f"{name}.ipynb")
            stack.enter_context(lab.client.setup_kernel())
            for cell in before:
                assert lab.run(lab.cells[cell]) is None
            return lab
        yield opened


class Lab:
    """A lab's cells by name, and the kernel that runs them."""

    def __init__(self, path):
        notebook = nbformat.read(path, as_version=4)
        self.cells = {cell.id: cell for cell in notebook.cells}
        self.client = NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True,
                                     resources={"metadata": {"path": str(path.parent)}})

    def run(self, cell, source=None):
        """What the error says that the cell ends with; None if it ends well."""
        cell = nbformat.v4.new_code_cell(source or cell.source)
        self.client.execute_cell(cell, 0)
        return next((output.evalue for output in cell.outputs if output.output_type == "error"), None)

    def grade(self, task, checks, answer=None):
        """What the first failing check says of the answer; None if all pass. Without an answer: of our solution."""
        source = self.cells[task].source
        said = self.run(self.cells[task], with_answer(source, answer) if answer else source)
        return said or next(filter(None, (self.run(self.cells[check]) for check in checks)), None)


def with_answer(source, answer):
    """The cell with the answer where its solution was."""
    before, _, rest = source.partition("        ### BEGIN SOLUTION\n")
    after = rest.partition("        ### END SOLUTION")[2]
    return before + "\n".join(f"        {line}".rstrip() for line in answer.strip("\n").splitlines()) + after
