"""Is everything in the wheels that a user needs, and nothing else? `.ci/wheel_contents.py WHEEL...`

Looks for the modules, the notices of what is linked, types and entry points; refuses a copy of Qt,
sources of tests and more than two megabytes. The native host is for Linux.
"""

import re
import sys
import zipfile
from pathlib import Path

MEGABYTE = 1 << 20
LIMIT = 2 * MEGABYTE

#: What each wheel holds, as regular expressions of whole names.
NEEDED = (
    r"qtloop/__init__\.py",
    r"qtloop/py\.typed",
    r"qtloop/_core\.pyi",
    r"qtloop/_core\.(cpython-\d+-[\w-]+\.so|cp\d+-win_amd64\.pyd)",
    r"pytest_qtloop/__init__\.py",
    r"qtloop-[^/]+\.dist-info/entry_points\.txt",
    r"qtloop-[^/]+\.dist-info/licenses/LICENSE-MIT",
    r"qtloop-[^/]+\.dist-info/licenses/LICENSE-APACHE",
    r"qtloop-[^/]+\.dist-info/licenses/LICENSE-DEPENDENCIES",
)
NEEDED_ON_LINUX = (r"qtloop/_qt6\.cpython-\d+-[\w-]+\.so",)
#: A wheel for Linux says which glibc it needs.
PLATFORM = r".*-(manylinux_\d+_\d+_\w+|macosx_\w+|win_amd64)\.whl"
FORBIDDEN = (r".*libQt.*", r"tests/.*", r"qtloop\.libs/.*", r".*\.rs")


def complaints(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    needed_here = NEEDED + (NEEDED_ON_LINUX if "linux" in wheel.name else ())
    found = [
        f"{needed} is missing"
        for needed in needed_here
        if not any(re.fullmatch(needed, it) for it in names)
    ]
    found += [
        f"{name} must not be in it" for name in names for it in FORBIDDEN if re.fullmatch(it, name)
    ]
    if (size := wheel.stat().st_size) > LIMIT:
        found.append(f"{size / MEGABYTE:.1f} MB are more than {LIMIT / MEGABYTE:.0f}")
    if not re.fullmatch(PLATFORM, wheel.name):
        found.append("its name does not say which system it needs, or which glibc")
    return found


def main() -> int:
    wrong = 0
    for wheel in map(Path, sys.argv[1:]):
        found = complaints(wheel)
        wrong += bool(found)
        print(
            f"{wheel.name}: {wheel.stat().st_size / MEGABYTE:.2f} MB: "
            f"{'; '.join(found) or 'complete'}"
        )
    return 1 if wrong or not sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
