"""Writes LICENSE-DEPENDENCIES: the licence notices of the crates that a wheel contains.

`.ci/licences.py` writes the file, `.ci/licences.py --check` fails if it is not what the lock file
asks for. cargo says which crates are linked; each crate's sources hold its notices. Macros and
build scripts are left out: nothing of them is in the wheel. Rust's own standard library is linked
too, so its notice comes first.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
NOTICES = REPOSITORY / "LICENSE-DEPENDENCIES"
FEATURES = ["--no-default-features", "--features", "python,qt-module"]
NAMES = ("licen", "copying", "copyright", "notice")

HEAD = """\
The wheels of qtloop contain the Rust crates below, and Rust's standard library. Where a crate may
be used under one of several licences, qtloop uses it under the MIT licence.

== The standard library (MIT OR Apache-2.0)

Copyright (c) The Rust Project Contributors. The licence is the MIT licence, as in LICENSE-MIT.
"""


def cargo(*arguments: str) -> str:
    command = ["cargo", *arguments, "--locked", *FEATURES]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout


def linked() -> set[tuple[str, str]]:
    """The name and version of each crate that is linked into a module."""
    tree = cargo(
        "tree", "--package", "qtloop", "--edges", "normal,no-proc-macro", "--prefix", "none"
    )
    crates = (line.split()[:2] for line in tree.splitlines() if line.strip())
    return {(name, version.removeprefix("v")) for name, version in crates if name != "qtloop"}


def packages() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    crates = linked()
    return sorted(
        (package for package in found if (package["name"], package["version"]) in crates),
        key=lambda package: (package["name"], package["version"]),
    )


def notices(package: dict[str, Any]) -> str:
    """The notices of a crate: that of the MIT licence if it has one, else all of them."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and path.name.lower().startswith(NAMES)
    )
    chosen = [path for path in files if "mit" in path.name.lower()] or files
    if not chosen:
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return f"Copyright (c) {authors}\n"
    return "\n".join(path.read_text().strip() + "\n" for path in chosen)


def text() -> str:
    parts = [HEAD]
    for package in packages():
        parts.append(f"== {package['name']} {package['version']} ({package['license']})\n")
        parts.append(notices(package))
    return "\n".join(parts)


def main() -> int:
    if "--check" not in sys.argv:
        NOTICES.write_text(text())
        return 0
    if NOTICES.exists() and NOTICES.read_text() == text():
        return 0
    print(f"{NOTICES.name} is not what Cargo.lock asks for: run .ci/licences.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
