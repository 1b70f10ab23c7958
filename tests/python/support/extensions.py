"""Extension modules of Rust, built from this repository's Cargo examples for the Python of the
tests."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]


#: The modules, with the features of the crate that they need.
FEATURES = {"rust_async_fn": "python,async-runtimes", "rust_futures": "python,async-runtimes"}


def build(name: str) -> Path:
    """The library of the example `name`, in a directory of its own and under the name by which
    Python imports it. Built but once by cargo, unless something has changed."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    target = target / "extensions" / str(sys.implementation.cache_tag)
    profile = "CARGO_PROFILE_RELEASE_"
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(target),
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        f"{profile}LTO": "off",
        f"{profile}CODEGEN_UNITS": "16",
        f"{profile}DEBUG": "0",
    }
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--example",
        name,
        "--features",
        FEATURES[name],
    ]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    built = target / "modules" / f"{name}.so"
    built.parent.mkdir(exist_ok=True)
    # Another file: one that a process has loaded must not be written to.
    fresh = built.with_suffix(f".{os.getpid()}")
    shutil.copy(target / "release" / "examples" / f"lib{name}.so", fresh)
    return fresh.replace(built)


def load(library: Path) -> Any:
    """Imports a library that `build` has made."""
    specification = importlib.util.spec_from_file_location(library.stem, library)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for name in FEATURES:
        build(name)
