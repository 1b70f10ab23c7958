"""A game, and a server in the same thread: `python -m examples.hosts.game`.

The game draws sixty frames a second into the terminal, or as fast as it can where there is none.
Meanwhile players connect over TCP, and a task computes without a pause: the frames go on.
"""

import argparse
import asyncio
import contextlib
import sys
import time

import qtloop

from . import GameHost

FRAME = 1 / 60
#: What asyncio may take of a frame.
BUDGET = 0.004
WIDTH = 40


class Game:
    """A ball between two walls, pushed by the players."""

    def __init__(self) -> None:
        self.frames = 0
        self.pushes = 0
        self.ball, self.speed = 0.0, 20.0

    def move(self) -> None:
        self.frames += 1
        self.ball += self.speed * FRAME
        if not 0 <= self.ball <= WIDTH:
            self.ball = min(max(self.ball, 0.0), float(WIDTH))
            self.speed = -self.speed

    def draw(self) -> None:
        if sys.stdout.isatty():
            field = "o".rjust(round(self.ball) + 1).ljust(WIDTH + 1)
            print(f"\r|{field}| {self.pushes} pushes", end="", flush=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            self.pushes += 1
            self.speed = -self.speed
            writer.write(b"ouch\n")
        writer.close()


async def play(address: tuple[str, int], pushes: int) -> int:
    """A player: the answers that came."""
    reader, writer = await asyncio.open_connection(*address)
    answers = 0
    for _ in range(pushes):
        writer.write(b"push\n")
        answers += await reader.readline() == b"ouch\n"
        await asyncio.sleep(0.01)
    writer.close()
    return answers


async def compute() -> None:
    """Has always something to do, and leaves the others their turn."""
    while True:
        await asyncio.sleep(0)


async def main(game: Game, players: int, pushes: int) -> list[int]:
    server = await asyncio.start_server(game.serve, "127.0.0.1", 0)
    async with server:
        busy = asyncio.create_task(compute())
        address = server.sockets[0].getsockname()
        answers = await asyncio.gather(*(play(address, pushes) for _ in range(players)))
        busy.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await busy
    return answers


def run(players: int, pushes: int) -> None:
    game, host = Game(), GameHost()
    with qtloop.attach(host=host) as loop:
        match = loop.create_task(main(game, players, pushes))
        while not match.done() and not host.has_quit:
            begun = time.monotonic()
            game.move()
            game.draw()
            host.step(BUDGET)
            time.sleep(max(0, FRAME - (time.monotonic() - begun)))
    print(f"\n{game.frames} frames, {game.pushes} pushes, answers: {match.result()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=3)
    parser.add_argument("--pushes", type=int, default=20)
    options = parser.parse_args()
    run(options.players, options.pushes)
