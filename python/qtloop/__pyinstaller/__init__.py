"""Where PyInstaller finds its hook for this package: it asks by the entry point `pyinstaller40`."""

import os


def get_hook_dirs() -> list[str]:
    """The folders with hooks, for PyInstaller."""
    return [os.path.dirname(__file__)]
