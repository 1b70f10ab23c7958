"""What a wheel holds, whatever was built before."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..support.child import REPOSITORY

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the package is built of, without its Rust, which takes long and is not what this is
    about."""
    tree = tmp_path / "tree"
    shutil.copytree(
        REPOSITORY / "python", tree / "python", ignore=shutil.ignore_patterns("*.so", "*.egg-info")
    )
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    project = (tree / "pyproject.toml").read_text()
    without = re.sub(r"\[\[tool\.setuptools-rust\.ext-modules\]\]\n(?:.+\n)+", "", project)
    assert without.count("setuptools-rust") == 1
    (tree / "pyproject.toml").write_text(without)
    return tree


def wheel(tree: Path) -> set[str]:
    """The names of the package's files in the wheel."""
    out = tree.parent / "wheels"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=tree, check=True, capture_output=True
    )
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sources(folder: Path) -> set[str]:
    """The files of the packages in that folder, by their names below it."""
    paths = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {path.relative_to(folder).as_posix() for path in paths}


def test_it_holds_the_package_and_nothing_that_lies_about(tree: Path) -> None:
    package = tree / "python/qtloop"
    expected = sources(tree / "python")
    assert wheel(tree) == expected
    # An older Python's module, from a build in place, and one of a build of the wheel that had Qt's
    # headers.
    (package / "_core.cpython-39-x86_64-linux-gnu.so").touch()
    (stale,) = {path.parent for path in (tree / "build").rglob("_loop.py")}
    (stale / "_qt6.cpython-313-x86_64-linux-gnu.so").touch()
    (stale / "_of_an_older_version.py").touch()
    (stale.parent / "single_file.py").touch()
    assert wheel(tree) == expected
