"""What one run of the suite is run with: the loop, and for qtloop the Qt around it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

LOOPS = ("stock", "qtloop", "uvloop")
BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
#: Qt's, and the examples for other run loops, each by the object that makes it.
QT_HOSTS = ("qt", "binding")
OTHER_HOSTS = {
    name: f"examples.hosts.{name}:{maker}"
    for name, maker in {
        "game": "GameHost",
        "tk": "TkHost",
        "glib": "GLibHost",
        "nsrunloop": "nsrunloop",
    }.items()
}
HOSTS = (*QT_HOSTS, *OTHER_HOSTS)
FD_STRATEGIES = ("epoll", "notifier")
DISPATCHERS = ("glib", "plain")


@dataclass(frozen=True)
class Configuration:
    """A loop and the Qt it runs on; a part left as None is left to the loop's own default."""

    loop: str = "stock"
    binding: str | None = None
    host: str | None = None
    fd: str | None = None
    dispatcher: str | None = None

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """Read words in any order: `stock`, `PyQt6/qt/plain`, `qtloop/PySide6/binding/notifier`."""
        parts: dict[str, str] = {}
        for word in text.split("/"):
            parts[_kind_of(word)] = word
        parts.setdefault("loop", "qtloop")
        return cls(**parts)

    @property
    def label(self) -> str:
        parts = (self.loop, self.binding, self.host, self.fd, self.dispatcher)
        return "/".join(part for part in parts if part)

    def environment(self) -> dict[str, str]:
        """The variables that make a fresh process use this configuration."""
        env = {"QT_QPA_PLATFORM": "offscreen"}
        if self.binding:
            env["QT_API"] = self.binding.lower()
        if self.host:
            env["QTLOOP_HOST"] = OTHER_HOSTS.get(self.host, self.host)
        if self.fd:
            env["QTLOOP_FD"] = self.fd
        if self.dispatcher == "plain":
            env["QT_NO_GLIB"] = "1"
        return env


# Whatever of these the caller's own environment says must not leak into a configuration that leaves
# it open.
VARIABLES = ("QT_API", "QTLOOP_HOST", "QTLOOP_FD", "QT_NO_GLIB")


def _kind_of(word: str) -> str:
    kinds = {
        "loop": LOOPS,
        "binding": BINDINGS,
        "host": HOSTS,
        "fd": FD_STRATEGIES,
        "dispatcher": DISPATCHERS,
    }
    for kind, words in kinds.items():
        if word in words:
            return kind
    raise ValueError(f"unknown part of a configuration: {word!r}")


def installed_bindings() -> list[str]:
    return [name for name in BINDINGS if importlib.util.find_spec(name) is not None]


def default_matrix() -> list[Configuration]:
    """Each installed binding under both hosts; the first one also without GLib and with a notifier
    per fd.

    And the hosts for other run loops, without a binding.
    """
    bindings = installed_bindings()
    matrix = [Configuration("qtloop", binding, host) for binding in bindings for host in QT_HOSTS]
    for binding in bindings[:1]:
        matrix.append(Configuration("qtloop", binding, "qt", dispatcher="plain"))
        matrix.append(Configuration("qtloop", binding, "qt", fd="notifier"))
    matrix.extend(Configuration("qtloop", None, host) for host in OTHER_HOSTS)
    return matrix
