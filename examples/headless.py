"""A TCP echo service on Qt without a display: `python -m examples.headless [--port N] [--once]`.

Nothing below mentions Qt: the loop factory is all it takes, and it makes a QCoreApplication where
there is none. With `--once` a client of its own checks the service, and the program ends.
"""

import argparse
import asyncio

import qtloop


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def check(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    print(f"echoed {answer!r}")
    if answer != b"hello\n":
        raise SystemExit("the echo differs from what was sent")


async def main(port: int, once: bool) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", port) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on 127.0.0.1:{port}, {asyncio.get_running_loop()}", flush=True)
        await check(port) if once else await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A TCP echo service in Qt's event loop.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument(
        "--once", action="store_true", help="check the service with a client, then end"
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
        runner.run(main(options.port, options.once))
