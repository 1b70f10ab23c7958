"""The few functions of GTK 3 that the window needs, by ctypes."""

import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Any

gtk: Any = ctypes.CDLL(ctypes.util.find_library("gtk-3") or "libgtk-3.so.0")
gobject: Any = ctypes.CDLL(ctypes.util.find_library("gobject-2.0") or "libgobject-2.0.so.0")

VERTICAL = 1
_pointer = ctypes.c_void_p
#: A `GCallback` that gets the widget, or a `GSourceFunc` that gets nothing of interest.
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, _pointer)
_kept: list[Any] = []

for _library, _name, _result, *_arguments in (
    (gtk, "gtk_init_check", ctypes.c_int, _pointer, _pointer),
    (gtk, "gtk_window_new", _pointer, ctypes.c_int),
    (gtk, "gtk_window_set_title", None, _pointer, ctypes.c_char_p),
    (gtk, "gtk_window_set_default_size", None, _pointer, ctypes.c_int, ctypes.c_int),
    (gtk, "gtk_container_set_border_width", None, _pointer, ctypes.c_uint),
    (gtk, "gtk_container_add", None, _pointer, _pointer),
    (gtk, "gtk_box_new", _pointer, ctypes.c_int, ctypes.c_int),
    (gtk, "gtk_label_new", _pointer, ctypes.c_char_p),
    (gtk, "gtk_label_set_text", None, _pointer, ctypes.c_char_p),
    (gtk, "gtk_progress_bar_new", _pointer),
    (gtk, "gtk_progress_bar_set_fraction", None, _pointer, ctypes.c_double),
    (gtk, "gtk_button_new_with_label", _pointer, ctypes.c_char_p),
    (gtk, "gtk_button_clicked", None, _pointer),
    (gtk, "gtk_widget_show_all", None, _pointer),
    (gtk, "gtk_widget_destroy", None, _pointer),
    (
        gobject,
        "g_signal_connect_data",
        ctypes.c_ulong,
        _pointer,
        ctypes.c_char_p,
        *[_pointer] * 3,
        ctypes.c_int,
    ),
    (gtk, "g_timeout_add", ctypes.c_uint, ctypes.c_uint, _Callback, _pointer),
    (gtk, "g_source_remove", ctypes.c_int, ctypes.c_uint),
):
    getattr(_library, _name).restype, getattr(_library, _name).argtypes = _result, _arguments


def connect(widget: int, signal: str, slot: Callable[[], object]) -> None:
    """Calls `slot` at each of the widget's signals."""
    function = _function(slot, stays=False)
    gobject.g_signal_connect_data(
        widget, signal.encode(), ctypes.cast(function, _pointer), None, None, 0
    )


def every(milliseconds: int, call: Callable[[], object]) -> int:
    """Calls it again and again. The number of the source, for `g_source_remove`."""
    number: int = gtk.g_timeout_add(milliseconds, _function(call, stays=True), None)
    return number


def once(milliseconds: int, call: Callable[[], object]) -> None:
    """Calls it once."""
    gtk.g_timeout_add(milliseconds, _function(call, stays=False), None)


def _function(call: Callable[[], object], *, stays: bool) -> Any:
    def function(_: object) -> bool:
        call()
        return stays

    _kept.append(_Callback(function))
    return _kept[-1]
