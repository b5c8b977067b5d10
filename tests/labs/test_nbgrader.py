"""The labs from a teacher's side: the student version gives nothing away, and grading gives the points."""
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from traitlets.config import PyFileConfigLoader

preprocessors = pytest.importorskip("nbgrader.preprocessors", reason="nbgrader is in the dependency group labs.")
ROOT = Path(__file__).parents[2]
LAB = "01-middleware"   # graded here: its checks are the quickest
# How many tasks each lab has, and words of its solution and of its hidden checks.
LABS = {LAB: (2, ["send_with_id", "noon-{number}"]), "04-find-the-knee": (5, ["from_afar_s", "quick_ms", "at_the_sale", "fourth one", "four machines"])}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course's folder with the labs in it and the student version made."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(ROOT / "labs", folder / "labs")
    nbgrader(folder, "generate_assignment", LAB)
    return folder


def nbgrader(folder, *words):
    """Nothing is returned; the command has done its work in the folder."""
    # nbgrader calls another program of its environment by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run([sys.executable, "-m", "nbgrader", *words], cwd=folder, check=True, capture_output=True, timeout=120,
                   env={**os.environ, "PATH": path})


def student_version(path):
    """The lab's text without solutions and hidden checks, as generate_assignment makes it."""
    config = PyFileConfigLoader(str(ROOT / "nbgrader_config.py")).load_config()
    notebook = nbformat.read(path, 4)
    for name in ("ClearSolutions", "ClearHiddenTests"):
        notebook, _ = getattr(preprocessors, name)(config=config).preprocess(notebook, {})
    return nbformat.writes(notebook)


def submit(course, student, notebook):
    """Nothing is returned; the student has handed in this notebook."""
    target = course / "submitted" / student / LAB
    target.mkdir(parents=True)
    shutil.copy(notebook, target / f"{LAB}.ipynb")


@pytest.mark.parametrize("lab", LABS)
def test_the_student_version_has_neither_solutions_nor_hidden_checks(lab):
    text = student_version(ROOT / "labs" / lab / f"{lab}.ipynb")
    tasks, hidden = LABS[lab]

    assert text.count("raise NotImplementedError()") == tasks + 1   # and the sentence that announces them
    assert not [word for word in ("SOLUTION", "HIDDEN", *hidden) if word in text]


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_has_fifteen_points(lab):
    cells = nbformat.read(ROOT / "labs" / lab / f"{lab}.ipynb", 4).cells

    assert sum(cell.metadata.get("nbgrader", {}).get("points", 0) for cell in cells) == 15


def test_every_lab_is_known_here():
    assert set(LABS) == {folder.name for folder in (ROOT / "labs").glob("[0-9]*")}


def test_the_solution_gets_all_points_and_the_starter_none(course):
    submit(course, "ann", course / "labs" / LAB / f"{LAB}.ipynb")
    submit(course, "ben", course / "release" / LAB / f"{LAB}.ipynb")

    nbgrader(course, "autograde", LAB)
    nbgrader(course, "export")

    with open(course / "grades.csv", newline="") as file:
        scores = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file) if row["assignment"] == LAB}
    assert scores == {"ann": 15, "ben": 0}
