"""A first program, as a user writes it: `program.py HOST`. HOST is what its loop must run on.

Fails with what the import or the first run says if there is no binding.
"""

import asyncio
import sys

import qtloop


async def main() -> str:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, qtloop.EventLoop)
    echoed = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        echoed.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await echoed.wait()
    return loop.host


if __name__ == "__main__":
    host = qtloop.run(main())
    print(f"qtloop {qtloop.__version__} runs on the host {host!r}")
    sys.exit(0 if host == sys.argv[1] else f"expected the host {sys.argv[1]!r}")
