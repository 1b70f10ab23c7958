"""The Python half of the example: an echo server on the application's own loop.

`sys.argv[1]` is a listening socket that Rust has opened. The program ends it by quitting the
application.
"""

import asyncio
import socket
import sys

import qtloop


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main() -> None:
    listening = socket.socket(fileno=int(sys.argv[1]))
    async with await asyncio.start_server(echo, sock=listening) as server:
        try:
            await server.serve_forever()
        finally:
            print("python: the server ends")


if __name__ == "__main__":
    qtloop.run(main())
