"""TLS on loopback: a server and a client that connects anew for each exchange, verifying the
certificate."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ..meters import Counter

PAUSE = 0.05
QUESTION = b"how do you do?\n"
ANSWER = b"very well, thank you\n"


async def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key; of an elliptic curve, for quick
    handshakes."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = "req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    process = await asyncio.create_subprocess_exec(
        "openssl", *options.split(), *names, "-keyout", key, "-out", certificate,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaints = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"openssl: {complaints.decode(errors='replace').strip()}")
    return certificate, key


async def make_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server's and client's. The files can go as soon as OpenSSL has read them."""
    with TemporaryDirectory() as folder:
        certificate, key = await make_certificate(Path(folder))
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        serving.load_cert_chain(certificate, key)
        return serving, ssl.create_default_context(cafile=str(certificate))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.readline() == QUESTION:
        writer.write(ANSWER)
    writer.close()
    await writer.wait_closed()


async def exchange(port: int, context: ssl.SSLContext) -> str:
    """One connection: handshake, question, answer. Returns the protocol they agreed on."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(QUESTION)
        if await reader.readline() != ANSWER:
            raise ValueError("the TLS server gave another answer")
        return str(writer.get_extra_info("ssl_object").version())
    finally:
        writer.close()
        await writer.wait_closed()


async def exchange_forever(handshakes: Counter, on_protocol: Callable[[str], None]) -> None:
    serving, connecting = await make_contexts()
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        while True:
            on_protocol(await exchange(port, connecting))
            handshakes.total += 1
            await asyncio.sleep(PAUSE)
