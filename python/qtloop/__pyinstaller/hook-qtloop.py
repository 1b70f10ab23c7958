"""PyInstaller's hook: the native host, which is imported by a name that depends on Qt's version."""

from PyInstaller.utils.hooks import can_import_module

hiddenimports = [name for name in ("qtloop._qt6",) if can_import_module(name)]
