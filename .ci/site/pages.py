"""What the site needs beyond the Markdown in `docs/`, as hooks of MkDocs.

The documents are written to be read on a code host, and stay so: their links lead to files of the
repository, also out of `docs/`. Here those files become pages, the links lead to these, and names
of the package in the text lead to the reference.
"""

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from links import with_links  # noqa: E402

#: Documents outside of `docs/`, and where they are on the site.
OUTSIDE = {
    "README.md": "index.md",
    "examples/README.md": "examples.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
#: Pages that a search is to find first, and those that it is to find last.
BOOSTS = {
    "index.md": 1.5,
    "how-to/": 1.3,
    "troubleshooting.md": 1.2,
    "tutorial/": 1.1,
    "write-your-own/": 0.5,
    "architecture/": 0.5,
    "performance.md": 0.5,
    "conformance.md": 0.3,
    "changelog.md": 0.3,
}

#: What README's tables call that which a page is about: a search for it finds the page first.
KEYWORDS = {
    "index.md": [
        "run",
        "program",
        "own",
        "policy",
        "factory",
        "uvicorn",
        "QTLOOP_HOST",
        "QTLOOP_FD",
    ],
    "how-to/attach.md": ["exec", "app.exec", "plug-in", "plug-ins", "plugin"],
    "how-to/cluster.md": ["cluster", "dask", "distributed", "processes", "workers"],
    "how-to/closing.md": [
        "close",
        "closeEvent",
        "closes",
        "ask",
        "save",
        "quit",
        "Ctrl-C",
        "SIGTERM",
        "exit code",
    ],
    "how-to/inspector.md": ["inspector", "running", "tasks", "blocked", "prometheus", "punctual"],
    "how-to/installing.md": [
        "install",
        "pip",
        "wheel",
        "binding",
        "QT_API",
        "native",
        "PyInstaller",
        "freeze",
        "frozen",
    ],
    "how-to/modal-dialogs.md": ["dialog", "modal", "exec", "QMessageBox"],
    "how-to/notebooks.md": ["Jupyter", "IPython", "notebook"],
    "how-to/signals.md": [
        "signal",
        "slot",
        "QProcess",
        "QNetworkReply",
        "animation",
        "await",
    ],
    "how-to/tasks-and-widgets.md": ["task", "widget", "owner", "slot"],
    "how-to/testing.md": ["test", "pytest", "simulated", "seed", "network"],
    "how-to/worker-thread.md": ["thread", "QThread", "QThreadPool", "run_in_executor"],
    "hosts.md": ["host", "Tk", "GLib", "Cocoa", "game", "run loop"],
    "migrating/qasync.md": ["qasync", "migrate"],
    "migrating/qtasyncio.md": ["QtAsyncio", "migrate"],
    "migrating/qtinter.md": ["qtinter", "migrate"],
    "migrating/thread.md": ["thread", "migrate"],
    "architecture/systems.md": ["Windows", "macOS", "aarch64"],
    "reference/event-loop.md": ["metrics", "slice", "fds", "epoll"],
    "rust.md": ["Rust", "QML", "spawn_local"],
    "troubleshooting.md": ["error", "blocked", "blocks", "freezes", "nest_asyncio", "matplotlib"],
}

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^ *(```|~~~)")


def on_files(files: Files, config: Any) -> Files:
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    path = page.file.src_uri
    for beginning, boost in BOOSTS.items():
        if path.startswith(beginning):
            page.meta.setdefault("search", {"boost": boost})
    if path in KEYWORDS:
        page.meta.setdefault("tags", KEYWORDS[path])
    sources = {site: source for source, site in OUTSIDE.items()}
    source = sources.get(path, f"docs/{path}")
    return "".join(
        line if is_code else with_links(_LINK.sub(lambda link: _moved(link, source, path), line))
        for line, is_code in _lines(markdown)
    )


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether a piece is code. Text between two blocks of code is one
    piece, since a link may go over the end of a line."""
    piece: list[str] = []
    is_code = False
    for line in markdown.splitlines(keepends=True):
        if _FENCE.match(line):
            if is_code:
                piece.append(line)
            yield "".join(piece), is_code
            piece = [] if is_code else [line]
            is_code = not is_code
        else:
            piece.append(line)
    yield "".join(piece), is_code


def _moved(link: re.Match[str], source: str, page: str) -> str:
    """A link of the file `source` as one of the page that it becomes; its text alone if it leads to
    what is on no page, as a folder of examples."""
    text, target, heading = link.groups()
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if not file.startswith("docs/") and file not in OUTSIDE:
        return text
    place = OUTSIDE.get(file, file.removeprefix("docs/"))
    return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{heading or ''})"
