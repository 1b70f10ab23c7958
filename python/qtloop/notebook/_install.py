"""Makes the kernel known to Jupyter."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

#: What ipykernel's own kernelspec starts, and what ours starts instead.
LAUNCHER: Final = "ipykernel_launcher"
MODULE: Final = "qtloop.notebook"


def main(arguments: Sequence[str]) -> int:
    """`python -m qtloop.notebook install`. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE} install",
        description="Makes a kernel known to Jupyter whose asyncio loop is qtloop's.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (as without an option)")
    where.add_argument("--sys-prefix", action="store_true", help="in this Python's environment")
    where.add_argument("--prefix", help="below this folder")
    parser.add_argument("--name", default="qtloop", help="of the kernel (default: %(default)s)")
    parser.add_argument("--display-name", help='(default: "Python 3 (NAME)")')
    parser.add_argument(
        "--env",
        action="append",
        nargs=2,
        default=[],
        metavar=("VARIABLE", "VALUE"),
        help="for the kernel's environment, QT_API pyside6 for example; may be repeated",
    )
    options = parser.parse_args(arguments)
    prefix = sys.prefix if options.sys_prefix else options.prefix
    try:
        path = install(
            options.name,
            prefix=prefix,
            display_name=options.display_name,
            environment=dict(options.env),
        )
    except ImportError as error:
        print(f"the kernel needs ipykernel: pip install ipykernel ({error})", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"installed the kernel {options.name!r} in {path}")
    return 0


def install(
    name: str = "qtloop",
    *,
    prefix: str | None = None,
    display_name: str | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Installs the kernelspec, for this user or below a prefix. Returns its folder.

    Raises ImportError without ipykernel, OSError if the folder cannot be written, ValueError for a
    name that Jupyter does not take.
    """
    from ipykernel import kernelspec
    from jupyter_client.kernelspec import KernelSpecManager

    spec: dict[str, Any] = kernelspec.get_kernel_dict()
    if LAUNCHER not in spec["argv"]:  # What a later ipykernel does.
        spec["argv"] = [sys.executable, "-m", LAUNCHER, "-f", "{connection_file}"]
    spec["argv"] = [MODULE if part == LAUNCHER else part for part in spec["argv"]]
    spec["display_name"] = display_name or f"Python 3 ({name})"
    spec["env"] = {**spec.get("env", {}), **(environment or {})}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(kernelspec.RESOURCES, folder, dirs_exist_ok=True)
        (Path(folder) / "kernel.json").write_text(json.dumps(spec, indent=1))
        manager = KernelSpecManager()
        path = manager.install_kernel_spec(
            folder, kernel_name=name, user=prefix is None, prefix=prefix
        )
    return str(path)
