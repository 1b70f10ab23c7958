"""What the screen of an X display shows, as a PNG file. Plain Xlib, whichever toolkit has
drawn it."""

import ctypes
import ctypes.util
import os
import struct
import zlib
from pathlib import Path

ALL_PLANES = ctypes.c_ulong(-1)
Z_PIXMAP = 2


class _Image(ctypes.Structure):
    """The beginning of an `XImage`."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("width", "height", "xoffset", "format")),
        ("data", ctypes.c_void_p),
        *(
            (name, ctypes.c_int)
            for name in ("byte_order", "unit", "bit_order", "pad", "depth", "line")
        ),
    ]


def save(path: Path, display: str | None = None) -> None:
    """Saves what the screen shows.

    Raises OSError if there is no such display, or if it has not 32 bits a pixel.
    """
    x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    x11.XOpenDisplay.restype = x11.XDefaultRootWindow.restype = ctypes.c_void_p
    x11.XGetImage.restype = ctypes.POINTER(_Image)
    name = display or os.environ.get("DISPLAY", "")
    connection = ctypes.c_void_p(x11.XOpenDisplay(name.encode()))
    if not connection:
        raise OSError(f"there is no display {name!r}")
    try:
        root = ctypes.c_void_p(x11.XDefaultRootWindow(connection))
        size = (x11.XDisplayWidth(connection, 0), x11.XDisplayHeight(connection, 0))
        image = x11.XGetImage(connection, root, 0, 0, *size, ALL_PLANES, Z_PIXMAP).contents
        if image.line != 4 * image.width:
            raise OSError("the display has not 32 bits a pixel")
        path.write_bytes(
            _png(image.width, image.height, ctypes.string_at(image.data, 4 * size[0] * size[1]))
        )
    finally:
        x11.XCloseDisplay(connection)


def _png(width: int, height: int, pixels: bytes) -> bytes:
    """Of pixels that are blue, green, red and nothing."""
    lines = bytearray(height * (1 + 3 * width))
    for channel in range(3):
        for row in range(height):
            start = row * (1 + 3 * width) + 1
            source = row * 4 * width
            lines[start + channel : start + 3 * width : 3] = pixels[
                source + 2 - channel : source + 4 * width : 4
            ]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
