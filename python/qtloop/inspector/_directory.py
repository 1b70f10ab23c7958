"""The sockets at which processes answer. They are in one directory for each user, which nobody else
may enter. Each socket is named by the number of its process."""

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"(\d+)\.socket")


def own() -> Path:
    """The directory for this process's socket, made if there is none.

    Raises OSError if it cannot be made, or if others may enter it.
    """
    directory = candidates()[0]
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    check(directory)
    return directory


def candidates() -> list[Path]:
    """The directories in which a process's socket may be. Ours would be in the first."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime) / "qtloop"] if runtime and Path(runtime).is_dir() else []
    temporary = f"qtloop-{os.getuid()}"
    return [*places, Path(tempfile.gettempdir()) / temporary, Path("/tmp") / temporary]


def check(directory: Path) -> None:
    """Raises PermissionError unless the directory is ours, and nobody else may enter it."""
    status = directory.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_ours or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{directory} is not a directory of this user's alone (mode 0700)")


def socket_of(pid: int, directory: Path) -> Path:
    """The path of the process's socket."""
    return directory / f"{pid}.socket"


def find(pid: int) -> Path | None:
    """The socket of a process, if there is one."""
    for directory in candidates():
        with contextlib.suppress(OSError):
            check(directory)
            found = socket_of(pid, directory)
            if stat.S_ISSOCK(found.lstat().st_mode):
                return found
    return None


def remove_stale(directory: Path) -> None:
    """Removes the sockets of processes that have ended."""
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            name = _NAME.fullmatch(path.name)
            if name and not is_alive(int(name[1])):
                path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
