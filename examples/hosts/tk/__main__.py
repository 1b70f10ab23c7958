"""A window of Tk's whose button awaits: `python -m examples.hosts.tk`.

The button counts down in a coroutine and then asks a server over TCP, with the window alive all the
while. Closing the window cancels what is under way, and the program ends.
"""

import argparse
import asyncio
import contextlib
import tkinter
from pathlib import Path

import qtloop

from .. import screenshot
from . import TkHost


class Window:
    """A label that says what happens, a bar that moves by Tk's own timer, and a button."""

    def __init__(self, root: tkinter.Tk) -> None:
        root.title("asyncio inside Tk")
        self.said = tkinter.StringVar(root, "nothing has happened yet")
        tkinter.Label(
            root, textvariable=self.said, width=40, height=3, font=("DejaVu Sans", 14)
        ).pack()
        self.canvas = tkinter.Canvas(root, width=400, height=20, background="white")
        self.canvas.pack(padx=20)
        self.bar = self.canvas.create_rectangle(0, 0, 0, 20, fill="steel blue", width=0)
        self.button = tkinter.Button(root, text="Ask the server", command=self.press)
        self.button.pack(pady=20)
        self.ticks = 0
        self.presses: asyncio.Queue[None] = asyncio.Queue()
        self.root = root
        root.protocol("WM_DELETE_WINDOW", self.close)
        self.tick()

    def tick(self) -> None:
        """Tk's own timer goes on whatever asyncio does."""
        self.ticks += 1
        self.canvas.coords(self.bar, 0, 0, self.ticks * 4 % 400, 20)
        self.timer = self.root.after(20, self.tick)

    def close(self) -> None:
        """Tk complains of timers that are left."""
        self.root.after_cancel(self.timer)
        self.root.destroy()

    def press(self) -> None:
        self.presses.put_nowait(None)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = await reader.readline()
    writer.write(b"the answer to " + question)
    writer.close()


async def ask(window: Window, address: tuple[str, int]) -> None:
    for left in range(3, 0, -1):
        window.said.set(f"asking in {left}")
        await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"everything\n")
    window.said.set((await reader.read()).decode().strip())
    writer.close()


async def main(root: tkinter.Tk, picture: Path | None, is_demo: bool) -> None:
    window = Window(root)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        while True:
            if is_demo:
                root.after(100, window.button.invoke)
            await window.presses.get()
            await ask(window, server.sockets[0].getsockname())
            print(window.said.get(), flush=True)
            if is_demo:
                root.update()
                if picture is not None:
                    screenshot.save(picture)
                print(
                    "Tk's timer ticked"
                    if window.ticks > 10
                    else f"Tk's timer ticked {window.ticks} times"
                )
                root.after(50, window.close)
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
    window = tkinter.Tk()
    window.geometry("+20+20")
    with contextlib.suppress(KeyboardInterrupt):
        qtloop.run(main(window, options.screenshot, options.demo), host=TkHost(window))
