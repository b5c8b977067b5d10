"""environment.yml and pyproject.toml list the same packages."""
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]


def bounds(lines):
    """The bounds of each package, by its exact name."""
    return {requirement.name: str(requirement.specifier) for requirement in map(Requirement, lines)}


def test_conda_and_pip_install_the_same_packages():
    wanted = [line for line in PYPROJECT["project"]["dependencies"] if ";" not in line]

    listed = [line for line in ENVIRONMENT if isinstance(line, str) and line not in ("pip", "python>=3.11")]

    assert bounds(listed) == bounds(wanted)


def test_packages_with_markers_come_with_the_project_itself():
    assert {"pip": ["-e ."]} in ENVIRONMENT


def test_conda_and_pip_want_the_same_python():
    assert f"python{PYPROJECT['project']['requires-python']}" in ENVIRONMENT


def test_every_direct_dependency_has_a_lower_and_an_upper_bound():
    groups = [line for group in PYPROJECT["dependency-groups"].values() for line in group]

    for name, bound in bounds(PYPROJECT["project"]["dependencies"] + groups).items():
        assert ">=" in bound and "<" in bound, f"{name} has no bounds: {bound!r}"
