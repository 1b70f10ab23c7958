"""Compiles `host.m`, and makes a host of it."""

import ctypes
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from qtloop import hosts

SOURCE = Path(__file__).with_name("host.m")
ROOT = SOURCE.parents[3]


def library() -> Path:
    """Where the compiled host is: in $QTLOOP_EXAMPLES if that is set, else in `target/`."""
    folder = Path(os.environ.get("QTLOOP_EXAMPLES") or ROOT / "target" / "examples")
    return folder / ("nsrunloop.dylib" if sys.platform == "darwin" else "nsrunloop.so")


def build() -> Path:
    """Compiles the host unless that was done. Raises CalledProcessError if it does not compile."""
    target = library()
    sources = [SOURCE, Path(hosts.get_include(), "qtloop_host.h")]
    if target.exists() and all(target.stat().st_mtime > source.stat().st_mtime for source in sources):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    command = [*compiler(), "-Wall", "-O2", "-shared", "-fPIC", f"-I{hosts.get_include()}", str(SOURCE)]
    subprocess.run([*command, "-o", str(made), *libraries()], check=True)
    made.replace(target)  # Another process may do the same.
    return target


def compiler() -> list[str]:
    if sys.platform == "darwin":
        return ["clang"]
    flags = subprocess.run(["gnustep-config", "--objc-flags"], check=True, capture_output=True, text=True)
    # Without those that write down what depends on what.
    return ["gcc", *(flag for flag in shlex.split(flags.stdout) if not flag.startswith("-M"))]


def libraries() -> list[str]:
    if sys.platform == "darwin":
        return ["-framework", "Foundation"]
    flags = subprocess.run(["gnustep-config", "--base-libs"], check=True, capture_output=True, text=True)
    return shlex.split(flags.stdout)


def nsrunloop() -> Any:
    """The host, as a capsule."""
    table = ctypes.c_char.in_dll(ctypes.CDLL(str(build())), "nsrunloop_host")
    return hosts.capsule(ctypes.addressof(table))
