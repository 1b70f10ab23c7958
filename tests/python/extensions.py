"""Extension modules of Rust, built from this repository's Cargo examples for the Python of the tests."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def build(name: str, features: str, config: pytest.Config) -> Path:
    """The library of the example `name`, in a directory of its own and under the name by which Python imports
    it. Built but once by cargo, unless something has changed."""
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo")
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
    command = ["cargo", "build", "--release", "--example", name, "--features", features]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    ) as cargo:
        assert cargo.stderr is not None
        said = []
        for line in cargo.stderr:  # Each crate is a sign of life.
            said.append(line)
            config.pluginmanager.get_plugin("hangs guard").say(f"cargo: {line}")  # type: ignore[union-attr]
    assert cargo.returncode == 0, "".join(said)
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
