"""Where and with what the measurements were taken."""

from __future__ import annotations

import os
import platform
import resource
from contextlib import suppress
from importlib import metadata
from pathlib import Path

PACKAGES = ("qtloop", "uvloop", "rloop", "qasync", "qtinter", "PyQt6", "PyQt6-Qt6", "PySide6")


MANY_FILES = 65_536
"""As many fds as the largest workload needs."""


def raise_file_limit() -> int:
    """Allows this process, and those that it starts, as many fds as may be; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY_FILES:
        with suppress(ValueError, OSError):  # Only some may.
            resource.setrlimit(resource.RLIMIT_NOFILE, (MANY_FILES, MANY_FILES))
            return MANY_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe() -> dict[str, str]:
    """The machine and the versions, ready to print."""
    facts = {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Load before": f"{os.getloadavg()[0]:.2f}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return facts | _versions()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
