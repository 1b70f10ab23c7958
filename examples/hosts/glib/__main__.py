"""A window of GTK's whose button awaits: `python -m examples.hosts.glib`.

The button counts down in a coroutine and then asks a server over TCP, with the window alive all the
while. Closing the window cancels what is under way, and the program ends. Needs GTK 3.
"""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

import qtloop

from .. import screenshot
from . import GLibHost
from .gtk import VERTICAL, connect, every, gtk, once


class Window:
    """A label that says what happens, a bar that moves by a timer of GLib's, and a button."""

    def __init__(self, host: GLibHost) -> None:
        self.text = "nothing has happened yet"
        self.label = gtk.gtk_label_new(self.text.encode())
        self.bar = gtk.gtk_progress_bar_new()
        self.button = gtk.gtk_button_new_with_label(b"Ask the server")
        self.window = gtk.gtk_window_new(0)
        box = gtk.gtk_box_new(VERTICAL, 20)
        for widget in (self.label, self.bar, self.button):
            gtk.gtk_container_add(box, widget)
        gtk.gtk_container_add(self.window, box)
        gtk.gtk_container_set_border_width(self.window, 20)
        gtk.gtk_window_set_default_size(self.window, 400, 160)
        gtk.gtk_window_set_title(self.window, b"asyncio inside GTK")
        self.ticks = 0
        self.presses: asyncio.Queue[None] = asyncio.Queue()
        self.host = host
        self.timer = every(20, self.tick)
        connect(self.button, "clicked", self.press)
        connect(self.window, "destroy", self.close)
        gtk.gtk_widget_show_all(self.window)

    def tick(self) -> None:
        """A timer of GLib's goes on whatever asyncio does."""
        self.ticks += 1
        gtk.gtk_progress_bar_set_fraction(self.bar, self.ticks % 100 / 100)

    def press(self) -> None:
        self.presses.put_nowait(None)

    def say(self, text: str) -> None:
        self.text = text
        gtk.gtk_label_set_text(self.label, text.encode())

    def close(self) -> None:
        """The window is closed, and with it the program."""
        gtk.g_source_remove(self.timer)
        self.host.leave()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = await reader.readline()
    writer.write(b"the answer to " + question)
    writer.close()


async def ask(window: Window, address: tuple[str, int]) -> None:
    for left in range(3, 0, -1):
        window.say(f"asking in {left}")
        await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"everything\n")
    window.say((await reader.read()).decode().strip())
    writer.close()


async def main(host: GLibHost, picture: Path | None, is_demo: bool) -> None:
    window = Window(host)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        while True:
            if is_demo:
                once(100, lambda: gtk.gtk_button_clicked(window.button))
            await window.presses.get()
            await ask(window, server.sockets[0].getsockname())
            print(window.text, flush=True)
            if is_demo:
                ticks = window.ticks
                while window.ticks < ticks + 5:  # It paints meanwhile.
                    await asyncio.sleep(0.02)
                if picture is not None:
                    screenshot.save(picture)
                print("GLib's timer ticked" if ticks > 10 else f"GLib's timer ticked {ticks} times")
                once(50, lambda: gtk.gtk_widget_destroy(window.window))
                is_demo = False
    finally:
        server.close()
        await asyncio.sleep(0.01)
        print("cleaned up")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--demo", action="store_true", help="press the button once, then close the window"
    )
    parser.add_argument(
        "--screenshot", type=Path, metavar="FILE", help="of the demo, when it has its answer"
    )
    options = parser.parse_args()
    if not gtk.gtk_init_check(None, None):
        sys.exit("GTK has no display")
    chosen = GLibHost()
    with contextlib.suppress(KeyboardInterrupt):
        qtloop.run(main(chosen, options.screenshot, options.demo), host=chosen)
