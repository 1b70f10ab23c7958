"""TLS over stock asyncio's `sslproto`, with the loop underneath."""

import asyncio
import ssl
from asyncio import AbstractEventLoop, StreamReader, StreamWriter

import pytest

from ..support.certificates import Contexts, make_contexts
from ..support.loops import Errors
from .test_stream_connections import echo, port_of

BIG = bytes(range(256)) * 16_384  # 4 MiB


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return make_contexts(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("data", [b"x", BIG], ids=["a byte", "big"])
async def test_an_echo_over_tls(loop: AbstractEventLoop, contexts: Contexts, data: bytes) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts.server) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port_of(server), ssl=contexts.client, server_hostname="localhost"
        )
        assert writer.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
        _, received = await asyncio.gather(send(writer, data), reader.readexactly(len(data)))
        assert received == data
        writer.close()
        await writer.wait_closed()


async def send(writer: StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_many_tls_connections_at_once(loop: AbstractEventLoop, contexts: Contexts) -> None:
    async def one(port: int, n: int) -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=contexts.client, server_hostname="localhost"
        )
        writer.write(b"%04d" % n)
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts.server) as server:
        answers = await asyncio.gather(*(one(port_of(server), n) for n in range(20)))
    assert answers == [b"%04d" % n for n in range(20)]


async def test_an_untrusted_certificate_is_refused(
    loop: AbstractEventLoop, contexts: Contexts, errors: Errors
) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts.server) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1",
                port_of(server),
                ssl=ssl.create_default_context(),
                server_hostname="localhost",
            )
    errors.clear()  # The server's side of the failed handshake.


async def test_a_handshake_that_never_comes_times_out(
    loop: AbstractEventLoop, contexts: Contexts
) -> None:
    async def say_nothing(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer"):
            await asyncio.open_connection(
                "127.0.0.1",
                port_of(server),
                ssl=contexts.client,
                server_hostname="localhost",
                ssl_handshake_timeout=0.05,
            )


async def test_a_plain_connection_is_upgraded_on_both_sides(
    loop: AbstractEventLoop, contexts: Contexts
) -> None:
    async def upgrade(reader: StreamReader, writer: StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go ahead\n")
        await writer.drain()
        await writer.start_tls(contexts.server)
        await echo(reader, writer)

    async with await asyncio.start_server(upgrade, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go ahead\n"
        await writer.start_tls(contexts.client, server_hostname="localhost")
        assert writer.get_extra_info("cipher")
        writer.write(b"secret\n")
        assert await reader.readline() == b"secret\n"
        writer.close()
        await writer.wait_closed()
