"""Compiles `host.m`, and makes a host of it."""

import ctypes
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from qtloop import hosts

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@cache
def library(name: str) -> ctypes.CDLL:
    """What `name`.m is compiled to: in `target/examples`, or in $QTLOOP_EXAMPLES if that is set.

    Raises CalledProcessError if it does not compile, FileNotFoundError if there is no compiler.
    """
    folder = Path(os.environ.get("QTLOOP_EXAMPLES") or ROOT / "target" / "examples")
    target = folder / f"{name}.{'dylib' if sys.platform == 'darwin' else 'so'}"
    sources = [HERE / f"{name}.m", Path(hosts.get_include(), "qtloop_host.h")]
    if not target.exists() or any(
        target.stat().st_mtime < source.stat().st_mtime for source in sources
    ):
        _compile(sources[0], target)
    return ctypes.CDLL(str(target))


def _compile(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    command = [
        *_compiler(),
        "-Wall",
        "-O2",
        "-shared",
        "-fPIC",
        f"-I{hosts.get_include()}",
        str(source),
    ]
    subprocess.run([*command, "-o", str(made), *_libraries()], check=True)
    made.replace(target)  # Another process may do the same.


def _compiler() -> list[str]:
    if sys.platform == "darwin":
        return ["clang"]
    # Without those that write down what depends on what.
    return ["gcc", *(flag for flag in _gnustep("--objc-flags") if not flag.startswith("-M"))]


def _libraries() -> list[str]:
    return ["-framework", "Foundation"] if sys.platform == "darwin" else _gnustep("--base-libs")


def _gnustep(what: str) -> list[str]:
    said = subprocess.run(["gnustep-config", what], check=True, capture_output=True, text=True)
    return shlex.split(said.stdout)


def nsrunloop() -> Any:
    """The host, as a capsule."""
    table = ctypes.c_char.in_dll(library("host"), "nsrunloop_host")
    return hosts.capsule(ctypes.addressof(table))
