"""Is everything that the tests use in the packages that are asked for? `.ci/packages.py PACKAGE...`

A machine on which work is done has packages that nobody has put on the list, and there everything
works. So this looks at what is used (libraries, Qt's plug-ins, QML modules, programs, headers),
asks dpkg which package it is from, and says what is neither in Debian's base nor among the packages
named, nor among what those depend on. Run it in the virtual environment of the tests, with
everything installed and built.
"""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LIBRARIES = Path(f"/usr/lib/{platform.machine()}-linux-gnu")

#: Of a binding's wheel, what is imported. The rest of its hundreds of megabytes may want what it
#: likes.
BINDINGS = {"PyQt6": "Qt6", "PyQt5": "Qt5", "PySide6": "Qt"}
MODULES = ["QtCore", "QtGui", "QtWidgets", "QtNetwork"]
PLATFORMS = ["libqxcb.so", "libqoffscreen.so"]

#: What the Makefile and Python's tests call; what Rust's call is read in their sources.
PROGRAMS = [
    "make",
    "cc",
    "c++",
    "qmake6",
    "/usr/lib/qt5/bin/qmake",
    "openssl",
    "Xvfb",
    "xauth",
    "sh",
]
PROGRAMS += ["xvfb-run", "gcc", "gnustep-config"]
#: Of the hosts among the examples: what they load by name, and the compiler of Objective-C.
LOADED = [
    "libX11.so.6",
    "libglib-2.0.so.0",
    "libgobject-2.0.so.0",
    "libgtk-3.so.0",
    "../libgnustep-base.so",
]
COMPILER = "/usr/lib/gcc/*/*/cc1obj"
HEADERS = ["x86_64-linux-gnu/qt6/QtCore/qobject.h", "x86_64-linux-gnu/qt6/QtQuick/qquickview.h"]
HEADERS += ["x86_64-linux-gnu/qt5/QtCore/qobject.h", "x86_64-linux-gnu/qt5/QtQuick/qquickview.h"]
FONTS = ["/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"]
#: Of Debian's own Python, whatever interpreter runs this.
PYTHON = [
    "/usr/bin/python3",
    "/usr/lib/python3*/ensurepip/__init__.py",
    "/usr/include/python3*/Python.h",
]

#: (what is used, by whom)
Use = tuple[Path, str]


def main(asked: list[str]) -> int:
    packages = installed()
    missing = [name for name in asked if name not in packages]
    if missing:
        print("not installed:", *missing)
        return 1
    closure = closure_of(packages, asked)
    uses = dict(used())
    owners = owners_of(uses)
    faults = []
    for path, user in sorted(uses.items()):
        if not path.exists():
            faults.append(f"{path}, which {user} needs, is not there")
        elif (owner := owners.get(path)) is not None and owner not in closure:
            faults.append(f"{path}, which {user} needs, is from {owner}, which is not asked for")
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(uses)} files, {len(faults)} that would be missing on a fresh machine")
    return 1 if faults else 0


# What there is.


def installed() -> dict[str, dict[str, str]]:
    """The installed packages by name, and by what they provide."""
    fields = ["Package", "Provides", "Pre-Depends", "Depends", "Essential", "Priority"]
    form = "\\x1f".join(f"${{{field}}}" for field in fields) + "\\x1e"
    listed = output(
        "dpkg-query", "--show", f"--showformat={form}".encode().decode("unicode_escape")
    )
    found: dict[str, dict[str, str]] = {}
    provided: dict[str, dict[str, str]] = {}
    for record in filter(None, listed.split("\x1e")):
        package = dict(zip(fields, record.split("\x1f"), strict=True))
        found.setdefault(package["Package"], package)
        for name in names(package["Provides"]):
            provided.setdefault(name[0], package)
    return {**provided, **found}


def names(relation: str) -> Iterator[list[str]]:
    """The alternatives of each of the packages in a field, without versions and architectures."""
    for clause in filter(None, (clause.strip() for clause in relation.split(","))):
        yield [re.split(r"[\s(:\[]", name.strip(), maxsplit=1)[0] for name in clause.split("|")]


def closure_of(packages: dict[str, dict[str, str]], asked: Iterable[str]) -> set[str]:
    """What apt-get would install, without what is but recommended, on top of Debian's base."""
    base = [
        name
        for name, package in packages.items()
        if package["Essential"] == "yes" or package["Priority"] == "required" or name == "apt"
    ]
    seen: set[str] = set()
    waiting = deque([*asked, *base])
    while waiting:
        package = packages[waiting.popleft()]
        if package["Package"] in seen:
            continue
        seen.add(package["Package"])
        for alternatives in [*names(package["Pre-Depends"]), *names(package["Depends"])]:
            # What is not here belongs to another architecture.
            waiting.extend([name for name in alternatives if name in packages][:1])
    return seen


def owners_of(paths: Iterable[Path]) -> dict[Path, str]:
    """The package of each file; those that dpkg does not know are not Debian's."""
    spellings = {}
    for path in paths:
        for spelling in {path, path.resolve()}:
            spellings[spelling] = path
            if spelling.is_relative_to("/usr"):  # Packages may still say /lib and /bin.
                spellings[Path("/") / spelling.relative_to("/usr")] = path
    found = subprocess.run(
        ["dpkg-query", "--search", *map(str, spellings)],
        capture_output=True,
        text=True,
        check=False,
    )
    owners = {}
    for line in found.stdout.splitlines():
        owner, _, name = line.rpartition(": ")
        if Path(name) in spellings and not owner.startswith("diversion "):
            owners[spellings[Path(name)]] = owner.partition(",")[0].partition(":")[0]
    return owners


# What is used.


def used() -> Iterator[Use]:
    roots = [*binaries(), *qml_plugins()]
    yield from roots
    for path, _ in roots:
        yield from ((library, str(path)) for library in libraries(path))
    yield from programs()
    yield from ((Path("/usr/include") / name, "the build") for name in HEADERS)
    yield min(Path("/").glob(COMPILER[1:]), default=Path(COMPILER)), "the host for NSRunLoop"
    yield from ((Path(name), "the demo") for name in FONTS)
    for pattern in PYTHON:
        yield min(Path("/").glob(pattern[1:]), default=Path(pattern)), "the virtual environment"


def binaries() -> Iterator[Use]:
    """What is built here and the parts of Qt that it loads, of the wheels' and of Debian's."""
    built = [*(REPOSITORY / "python/qtloop").glob("*.so")]
    if not built:
        raise SystemExit("the extension modules are not built")
    yield from ((path, "the package") for path in built)
    for binding, qt in BINDINGS.items():
        found = importlib.util.find_spec(binding)
        if found is None or found.origin is None:
            raise SystemExit(f"{binding} is not installed")
        wheel = Path(found.origin).parent
        yield from ((wheel / qt / "plugins/platforms" / name, binding) for name in PLATFORMS)
        for module in MODULES:
            yield from ((path, binding) for path in wheel.glob(f"{module}.*so"))
    yield from ((LIBRARIES / name, "a host among the examples") for name in LOADED)
    tk = importlib.util.find_spec("_tkinter")
    if tk is None or tk.origin is None:
        raise SystemExit("this Python has no _tkinter")
    yield Path(tk.origin), "the host for Tk"
    for major in (5, 6):
        plugins = LIBRARIES / f"qt{major}/plugins/platforms"
        yield from ((plugins / name, f"the crate with Qt {major}") for name in PLATFORMS)
        for name in ("Core", "Gui", "Widgets", "Qml", "Quick"):
            yield LIBRARIES / f"libQt{major}{name}.so", f"the crate with Qt {major}"


def libraries(binary: Path) -> Iterator[Path]:
    """The shared libraries that it is linked with, directly or not."""
    if ".so" not in binary.name or not binary.exists():
        return
    for line in output("ldd", str(binary)).splitlines():
        name, arrow, target = line.strip().partition(" => ")
        if arrow:
            yield Path(name if target.startswith("not found") else target.rpartition(" (")[0])


def qml_plugins() -> Iterator[Use]:
    """The modules that QML code imports, and those that these import, and their plug-ins."""
    imports: dict[str, str] = {}
    for source in [*(REPOSITORY / "tests").rglob("*.rs"), *(REPOSITORY / "examples").rglob("*")]:
        if source.suffix in (".rs", ".qml"):
            for module in re.findall(r"^[^/\n]*\bimport (Qt[\w.]+)", source.read_text(), re.M):
                imports[module] = str(source.relative_to(REPOSITORY))
    for major in (5, 6):
        waiting, seen = deque(imports.items()), set()
        while waiting:
            module, user = waiting.popleft()
            if module in seen:
                continue
            seen.add(module)
            directory = qml_module(major, module)
            if directory is None:
                if major == 6:
                    yield LIBRARIES / "qt6/qml" / module.replace(".", "/"), user
                continue
            yield directory / "qmldir", user
            description = (directory / "qmldir").read_text()
            for plugin in re.findall(r"^(?:optional )?plugin (\w+)", description, re.M):
                yield directory / f"lib{plugin}.so", str(directory / "qmldir")
            # What it only depends on is for tools.
            for name in re.findall(r"^(?:import|depends) ([\w.]+)", description, re.M):
                waiting.append((name, str(directory / "qmldir")))


def qml_module(major: int, module: str) -> Path | None:
    """The directory of the module, whose name may end with a version."""
    path = LIBRARIES / f"qt{major}/qml" / module.replace(".", "/")
    found = [path, *sorted(path.parent.glob(f"{path.name}.[0-9]*"), reverse=True)]
    return next((directory for directory in found if (directory / "qmldir").exists()), None)


def programs() -> Iterator[Use]:
    called = dict.fromkeys(PROGRAMS, "the Makefile or a test")
    for source in (REPOSITORY / "tests").rglob("*.rs"):
        for name in re.findall(r"Command::new\(\"([^\"]+)\"\)", source.read_text()):
            called[name] = str(source.relative_to(REPOSITORY))
    for name, user in called.items():
        yield Path(shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") or name), user


@cache
def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
