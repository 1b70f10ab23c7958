"""What a wheel holds, whatever was built before."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..support.child import REPOSITORY

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"

#: What pyproject.toml says of a module in Rust.
MODULE = r"\[\[tool\.setuptools-rust\.ext-modules\]\]\n(?:.+\n)+"

#: Builds an empty module, unless the tree has words of a failure.
CARGO = """\
case $1 in
metadata) echo '{"resolve": {"root": "qtloop"}}' ;;
*)
    if [ -e words ]; then cat words >&2; exit 101; fi
    : > libqtloop.so
    echo '{"reason": "compiler-artifact", "package_id": "qtloop",' \\
        '"target": {"kind": ["cdylib"]}, "filenames": ["'$PWD'/libqtloop.so"]}' ;;
esac
"""
RUSTC = """\
case $* in
*cfg*) echo target_os=\\"linux\\" ;;
*) echo "rustc 1.90.0 (0123456789 2025-01-01)"; echo "host: x86_64-unknown-linux-gnu" ;;
esac
"""

NO_HEADERS = """\
error: failed to run custom build command for `qtloop v0.1.0 (/tree)`
note: To improve backtraces for build dependencies, set an environment variable.

Caused by:
  process didn't exit successfully: `/target/build-script-build` (exit status: 101)
  --- stderr

  thread 'main' (4516) panicked at build.rs:104:17:
  the feature `qt-module` needs Qt 6's headers: install them
  note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
NO_COMPILER = """\
error: failed to run custom build command for `qtloop v0.1.0 (/tree)`

Caused by:
  process didn't exit successfully: `/target/build-script-build` (exit status: 1)
  --- stderr


  error occurred in cc-rs: failed to find tool "c++": No such file (see https://docs.rs/cc for help)


"""
NO_LIBRARY = """\
error: linking with `cc` failed: exit status: 1
  |
  = note:  "cc" "-m64" "<2 object files omitted>" "-lQt6Core"
  = note: /usr/bin/ld: cannot find -lQt6Core: No such file or directory
          collect2: error: ld returned 1 exit status

error: could not compile `qtloop` (lib) due to 1 previous error
"""
NO_LIBRARY_FOR_LLD = NO_LIBRARY.replace(
    "/usr/bin/ld: cannot find", "rust-lld: error: unable to find library"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the package is built of, without its Rust, which takes long and is not what this is
    about."""
    tree = tmp_path / "tree"
    shutil.copytree(
        REPOSITORY / "python",
        tree / "python",
        ignore=shutil.ignore_patterns("*.so", "*.egg-info", "_qt6.txt"),
    )
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    project = (tree / "pyproject.toml").read_text()
    without = re.sub(MODULE, "", project)
    assert without.count("setuptools-rust") == 1
    (tree / "pyproject.toml").write_text(without)
    return tree


@pytest.fixture
def tree_with_native_host(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Likewise, with the optional module, which a stand-in for cargo builds."""
    project = (REPOSITORY / "pyproject.toml").read_text()
    (module,) = (it for it in re.findall(MODULE, project) if "optional = true" in it)
    with (tree / "pyproject.toml").open("a") as file:
        file.write(module)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, program in {"cargo": CARGO, "rustc": RUSTC}.items():
        (tools / name).write_text(f"#!/bin/sh\n{program}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CARGO", raising=False)
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


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (NO_HEADERS, "the feature `qt-module` needs Qt 6's headers: install them"),
        (NO_COMPILER, 'failed to find tool "c++": No such file'),
        (NO_LIBRARY, "cannot find -lQt6Core: No such file or directory"),
        (NO_LIBRARY_FOR_LLD, "unable to find library -lQt6Core: No such file or directory"),
        ("error[E0425]: cannot find value `it`\n", "cannot find value `it`"),
    ],
    ids=["no headers", "no compiler", "no library", "no library for lld", "anything"],
)
def test_it_tells_why_it_has_no_native_host(
    tree_with_native_host: Path, words: str, cause: str
) -> None:
    (tree_with_native_host / "words").write_text(words)
    assert "qtloop/_qt6.txt" in wheel(tree_with_native_host)
    (note,) = (tree_with_native_host / "build").rglob("_qt6.txt")
    assert note.read_text() == f"{cause}\n"


def test_a_build_in_place_takes_back_what_an_earlier_one_said(tree_with_native_host: Path) -> None:
    package = tree_with_native_host / "python/qtloop"
    build = [sys.executable, "setup.py", "build_ext", "--inplace"]
    words = tree_with_native_host / "words"
    words.write_text("words that no pattern knows\nand more\n")
    subprocess.run(build, cwd=tree_with_native_host, check=True, capture_output=True)
    assert (package / "_qt6.txt").exists()
    words.unlink()
    subprocess.run(build, cwd=tree_with_native_host, check=True, capture_output=True)
    assert not (package / "_qt6.txt").exists()
    assert list(package.glob("_qt6.*.so"))
