"""Servers that people run, each by the library that they use, in the loop under measurement; each
is a context that yields what puts it under load."""

from __future__ import annotations

import asyncio
import base64
import importlib
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benches.loadgen import Target
from benches.servers import BACKLOG, listen

BODY = 1024
"""How many bytes an answer has, beside what its protocol adds."""

HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benches\r\nAccept: */*\r\n\r\n"

WEBSOCKET_OPENING = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
#: A binary message. A mask of zeros leaves it as it is.
WEBSOCKET_MESSAGE = b"\x82\xfe" + BODY.to_bytes(2, "big") + bytes(4) + b"x" * BODY
#: The same without a mask, as a server sends it.
WEBSOCKET_ANSWER = 4 + BODY


Probe = Callable[[str], Target]
"""Asks the server once, in a thread, and gives the load; the argument is a folder for files."""


@asynccontextmanager
async def aiohttp() -> AsyncIterator[Probe]:
    """aiohttp.web with its parser in C."""
    web: Any = importlib.import_module("aiohttp.web")

    async def answer(_request: object) -> object:
        return web.Response(body=b"x" * BODY)

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener, target = listen()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    try:
        yield lambda folder: _http(target, folder)
    finally:
        await runner.cleanup()


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application for servers that want one."""
    if scope["type"] != "http":
        return
    await receive()
    headers = [(b"content-length", str(BODY).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * BODY})


@asynccontextmanager
async def uvicorn() -> AsyncIterator[Probe]:
    """uvicorn, with httptools for a parser."""
    module: Any = importlib.import_module("uvicorn")
    importlib.import_module("httptools")
    listener, target = listen()
    server = module.Server(
        module.Config(asgi, http="httptools", lifespan="off", log_level="critical")
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield lambda folder: _http(target, folder)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def hypercorn() -> AsyncIterator[Probe]:
    """hypercorn, which parses by h11."""
    serve: Any = importlib.import_module("hypercorn.asyncio").serve
    config: Any = importlib.import_module("hypercorn.config").Config()
    listener, target = listen()
    config.bind = [f"fd://{listener.detach()}"]
    ended = asyncio.Event()
    serving = asyncio.ensure_future(serve(asgi, config, shutdown_trigger=ended.wait))
    try:
        yield lambda folder: _http(target, folder)
    finally:
        ended.set()
        await serving


@asynccontextmanager
async def websockets() -> AsyncIterator[Probe]:
    """websockets, echoing messages."""
    serve: Any = importlib.import_module("websockets.asyncio.server").serve

    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    listener, target = listen()
    async with serve(echo, sock=listener, compression=None):
        yield lambda folder: _websocket(target, folder)


def _http(target: Target, folder: str) -> Target:
    with _connected(target) as client, client.makefile("rwb") as stream:
        stream.write(HTTP_REQUEST)
        stream.flush()
        length = len(_headers(stream)) + BODY
    request = _file(folder, "request", HTTP_REQUEST)
    return Target(target.address, talk=("--request", request, "--answer", str(length)))


def _websocket(target: Target, folder: str) -> Target:
    with _connected(target) as client, client.makefile("rwb") as stream:
        stream.write(WEBSOCKET_OPENING)
        stream.flush()
        length = len(_headers(stream))
    opening = ("--opening", _file(folder, "opening", WEBSOCKET_OPENING))
    request = ("--request", _file(folder, "request", WEBSOCKET_MESSAGE))
    lengths = ("--opening-answer", str(length), "--answer", str(WEBSOCKET_ANSWER))
    return Target(target.address, talk=(*opening, *request, *lengths))


def _connected(target: Target) -> socket.socket:
    _, host, port = target.address.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _headers(stream: Any) -> bytes:
    lines = [stream.readline()]
    while lines[-1] not in (b"\r\n", b""):
        lines.append(stream.readline())
    return b"".join(lines)


def _file(folder: str, name: str, content: bytes) -> str:
    path = Path(folder, name)
    path.write_bytes(content)
    return str(path)


SPOKEN: dict[str, Callable[[], AbstractAsyncContextManager[Probe]]] = {
    "aiohttp": aiohttp,
    "uvicorn": uvicorn,
    "hypercorn": hypercorn,
    "websockets": websockets,
}
"""Servers whose answers always have the same length, for the load generator."""


@asynccontextmanager
async def grpc() -> AsyncIterator[list[str]]:
    """grpc.aio, one method that gives back what it gets."""
    module: Any = importlib.import_module("grpc")
    aio: Any = importlib.import_module("grpc.aio")

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = aio.server()
    methods = {"Echo": module.unary_unary_rpc_method_handler(echo)}
    handler = module.method_handlers_generic_handler("bench.Bench", methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield ["grpc", str(port)]
    finally:
        await server.stop(None)


@asynccontextmanager
async def sftp() -> AsyncIterator[list[str]]:
    """asyncssh, serving a file by SFTP."""
    module: Any = importlib.import_module("asyncssh")

    class Open(module.SSHServer):  # type: ignore[misc]  # what the module has is not typed here
        def begin_auth(self, _username: str) -> bool:
            return False

    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(bytes(1 << 20))
        key = module.generate_private_key("ssh-ed25519")
        server = await module.listen(
            "127.0.0.1", 0, server_factory=Open, server_host_keys=[key], sftp_factory=True
        )
        async with server:
            yield ["sftp", str(server.sockets[0].getsockname()[1]), str(path)]


CLIENTS: dict[str, Callable[[], AbstractAsyncContextManager[list[str]]]] = {
    "grpc": grpc,
    "sftp": sftp,
}
"""Servers that only their own library's client can talk to, and the words for `client`."""


async def client(kind: str, port: str, *rest: str) -> None:
    """The process that talks to such a server, on stock asyncio whatever the server runs on."""
    calls: dict[str, Callable[..., Any]] = {"grpc": _call_grpc, "sftp": _read_sftp}
    await calls[kind](port, *rest)


CALLERS = 10
"""How many calls are under way at once."""


async def _call_grpc(port: str) -> None:
    aio: Any = importlib.import_module("grpc.aio")
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/bench.Bench/Echo")
        message = b"x" * BODY
        await _count([lambda: call(message)] * CALLERS)


async def _read_sftp(port: str, path: str) -> None:
    module: Any = importlib.import_module("asyncssh")
    async with (
        module.connect("127.0.0.1", int(port), known_hosts=None, username="u") as connection,
        connection.start_sftp_client() as files,
        files.open(path, "rb") as file,
    ):
        await _count([lambda: file.read(16 * BODY, 0)] * CALLERS)


async def _count(calls: list[Callable[[], Any]]) -> None:
    """Answers each line of stdin, which is a number of calls, when these have been made."""
    print("ready", flush=True)
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        share = int(words[0]) // len(calls)

        async def go(call: Callable[[], Any], share: int = share) -> None:
            for _ in range(share):
                await call()

        await asyncio.gather(*map(go, calls))
        print(share * len(calls), flush=True)


if __name__ == "__main__":
    asyncio.run(client(*sys.argv[1:]))
