"""The simulated network. What a protocol sees there is what it sees of real sockets on stock
asyncio; what only a simulation has, partitions and crashes, is tested by itself."""

import asyncio
import contextlib
import errno
import random
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import qtloop.testing
from qtloop.testing import Machine, Network

from ..support.certificates import make_certificate

Factory = Callable[[], Any]


class Stock:
    """Real sockets, on stock asyncio."""

    name = "stock"
    errors: list[dict[str, Any]]

    def run(self, program: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            self._collect_errors()
            await program(self)

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(main())

    def _collect_errors(self) -> None:
        self.errors = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.errors.append(context))

    async def serve(self, factory: Factory, **options: Any) -> tuple[asyncio.Server, Any]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, "127.0.0.1", 0, **options)
        return server, server.sockets[0].getsockname()

    async def connect(self, factory: Factory, address: Any, **options: Any) -> Any:
        return await asyncio.get_running_loop().create_connection(factory, *address, **options)

    async def refused_address(self) -> Any:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            return unused.getsockname()


class Simulated(Stock):
    """Two machines of a network."""

    name = "simulated"

    def run(self, program: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            self._collect_errors()
            network = Network(latency=0.01)
            self.server, self.client = network.machine("server"), network.machine("client")
            await program(self)

        qtloop.testing.run(main())

    async def serve(self, factory: Factory, **options: Any) -> tuple[asyncio.Server, Any]:
        loop = asyncio.get_running_loop()
        server = await self.server.run(loop.create_server(factory, port=0, **options))
        return server, server.sockets[0].getsockname()

    async def connect(self, factory: Factory, address: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await self.client.run(loop.create_connection(factory, *address, **options))

    async def refused_address(self) -> Any:
        return self.server.address, 1


@pytest.fixture(params=[Stock, Simulated], ids=lambda world: world.name)
def world(request: pytest.FixtureRequest) -> Stock:
    made: Stock = request.param()
    return made


class Recorder(asyncio.Protocol):
    """Notes its calls; pieces of data that follow each other are one."""

    def __init__(self, keeps_open: bool = False) -> None:
        self.calls: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()
        self.came = asyncio.Event()
        self.size = 0
        self.transport: Any = None
        self._keeps_open = keeps_open

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        if isinstance(self.calls[-1], bytes):
            data = self.calls.pop() + data
        self.calls.append(data)
        self.came.set()

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.ended.set()
        return self._keeps_open

    def pause_writing(self) -> None:
        self.calls.append("pause")
        self.paused.set()

    def resume_writing(self) -> None:
        self.calls.append("resume")
        self.resumed.set()

    def connection_lost(self, error: Exception | None) -> None:
        is_reset = isinstance(error, ConnectionError)
        self.calls.append(("lost", "reset" if is_reset else error))
        self.lost.set_result(error)


class Server:
    """Makes the protocols of a server, and says when there is one."""

    def __init__(self, make: Factory = Recorder) -> None:
        self._make = make
        self._made: asyncio.Queue[Any] = asyncio.Queue()

    def __call__(self) -> Any:
        protocol = self._make()
        self._made.put_nowait(protocol)
        return protocol

    async def protocol(self) -> Any:
        return await self._made.get()


Pair = tuple[Any, Any]


async def pair(world: Stock, client: Factory = Recorder, server: Factory = Recorder) -> Pair:
    """The protocols of a connection: the client's, the server's."""
    factory = Server(server)
    listener, address = await world.serve(factory)
    _, protocol = await world.connect(client, address)
    accepted = await factory.protocol()
    while accepted.transport is None:
        await asyncio.sleep(0)
    listener.close()
    return protocol, accepted


# As with real sockets.


def test_an_end_of_data_is_answered(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world, server=lambda: Recorder(keeps_open=True))
        client.transport.writelines([b"to ", b"you"])
        client.transport.write_eof()
        await server.ended.wait()
        assert not server.transport.is_closing()
        server.transport.write(b"back")
        server.transport.close()
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", b"back", "eof", ("lost", None)]
        assert server.calls == ["made", b"to you", "eof", ("lost", None)]

    world.run(program)


def test_an_end_of_data_closes(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world)
        client.transport.write(b"x")
        client.transport.close()
        assert client.transport.is_closing()
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", ("lost", None)]
        assert server.calls == ["made", b"x", "eof", ("lost", None)]

    world.run(program)


def test_an_aborted_connection_ends(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world)
        client.transport.abort()
        assert client.calls == ["made"]
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", ("lost", None)]
        assert server.calls == ["made", "eof", ("lost", None)]

    world.run(program)


def test_a_slow_reader_pauses_the_writer(world: Stock) -> None:
    size = 8 << 20

    async def program(world: Stock) -> None:
        client, server = await pair(world)
        server.transport.pause_reading()
        client.transport.write(bytes(size))
        assert client.calls == ["made", "pause"]
        assert client.transport.get_write_buffer_size() > 0
        client.transport.close()
        assert not server.transport.is_reading()
        server.transport.resume_reading()
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", "pause", "resume", ("lost", None)]
        assert server.calls == ["made", bytes(size), "eof", ("lost", None)]

    world.run(program)


def test_an_end_of_data_comes_after_what_is_buffered(world: Stock) -> None:
    size = 8 << 20

    async def program(world: Stock) -> None:
        client, server = await pair(world)
        client.transport.write(bytes(size))
        client.transport.write_eof()
        with pytest.raises(RuntimeError, match="Cannot call write"):
            client.transport.write(b"x")
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", "pause", "resume", "eof", ("lost", None)]
        assert server.size == size

    world.run(program)


def test_who_closes_with_unread_data_resets(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world)
        client.transport.pause_reading()
        server.transport.write(b"never read")
        await asyncio.sleep(0.05)
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        assert client.calls == ["made", ("lost", None)]
        assert server.calls == ["made", ("lost", "reset")]

    world.run(program)


def test_who_writes_to_nobody_is_reset(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world, lambda: Recorder(keeps_open=True))
        server.transport.close()
        await client.ended.wait()
        while not client.transport.is_closing():
            client.transport.write(b"x")
            await asyncio.sleep(0.01)
        await client.lost
        assert client.calls == ["made", "eof", ("lost", "reset")]
        client.transport.write(b"ignored")

    world.run(program)


def test_nobody_listens(world: Stock) -> None:
    async def program(world: Stock) -> None:
        address = await world.refused_address()
        with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
            await world.connect(Recorder, address)

    world.run(program)


def test_a_protocol_that_fails_loses_its_connection(world: Stock) -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError(data)

    async def program(world: Stock) -> None:
        client, server = await pair(world, server=Failing)
        client.transport.write(b"x")
        await asyncio.gather(client.lost, server.lost)
        assert isinstance(server.lost.result(), LookupError)
        assert client.calls == ["made", "eof", ("lost", None)]
        (context,) = world.errors
        assert context["message"] == "Fatal error: protocol.data_received() call failed."
        assert context["exception"] is server.lost.result()
        assert context["protocol"] is server

    world.run(program)


def test_a_buffered_protocol_gets_its_data(world: Stock) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.transport: Any = None
            self.got = b""
            self.buffer = bytearray(3)
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            self.got += self.buffer[:size]

        def connection_lost(self, error: Exception | None) -> None:
            self.lost.set_result(error)

    async def program(world: Stock) -> None:
        client, server = await pair(world, server=Buffered)
        client.transport.write(b"ten bytes!")
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        assert server.got == b"ten bytes!"

    world.run(program)


def test_a_new_protocol_gets_what_comes(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world)
        later = Recorder()
        later.connection_made(server.transport)
        server.transport.set_protocol(later)
        assert server.transport.get_protocol() is later
        client.transport.write(b"x")
        client.transport.close()
        await asyncio.gather(client.lost, later.lost)
        assert (server.calls, later.calls) == (["made"], ["made", b"x", "eof", ("lost", None)])

    world.run(program)


def test_what_a_transport_knows(world: Stock) -> None:
    async def program(world: Stock) -> None:
        client, server = await pair(world)
        ends = client.transport, server.transport
        names = [end.get_extra_info("sockname") for end in ends]
        assert [end.get_extra_info("peername") for end in ends] == names[::-1]
        assert ends[0].get_extra_info("socket").getpeername() == names[1]
        assert ends[0].get_extra_info("nothing", 5) == 5
        with pytest.raises(TypeError, match="data argument must be a bytes"):
            client.transport.write("text")
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)

    world.run(program)


def test_a_server_ends(world: Stock) -> None:
    async def program(world: Stock) -> None:
        factory = Server()
        listener, address = await world.serve(factory)
        async with listener:
            assert listener.is_serving()
            _, client = await world.connect(Recorder, address)
            server = await factory.protocol()
            serving = asyncio.ensure_future(listener.serve_forever())
            await asyncio.sleep(0.01)
            client.transport.close()
            await asyncio.gather(client.lost, server.lost)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        assert (listener.is_serving(), listener.sockets) == (False, ())
        with pytest.raises(ConnectionRefusedError):
            await world.connect(Recorder, address)

    world.run(program)


def test_an_address_is_taken_once(world: Stock) -> None:
    async def program(world: Stock) -> None:
        listener, address = await world.serve(Recorder)
        again = asyncio.get_running_loop().create_server(Recorder, *address)
        with pytest.raises(OSError, match="address already in use"):
            await (world.server.run(again) if isinstance(world, Simulated) else again)
        listener.close()

    world.run(program)


def test_streams_work_in_both_directions_at_once(world: Stock) -> None:
    size = 1 << 20

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10_000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def program(world: Stock) -> None:
        loop = asyncio.get_running_loop()

        def served() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), handle, loop=loop)

        listener, address = await world.serve(served)
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await world.connect(lambda: protocol, address)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)

        async def send() -> None:
            for number in range(16):
                writer.write(bytes([number]) * (size // 16))
                await writer.drain()
            writer.write_eof()

        received, _ = await asyncio.gather(reader.read(), send())
        assert received == b"".join(bytes([number]) * (size // 16) for number in range(16))
        writer.close()
        await writer.wait_closed()
        listener.close()

    world.run(program)


def test_tls_goes_through(world: Stock, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def program(world: Stock) -> None:
        factory = Server()
        listener, address = await world.serve(factory, ssl=serving)
        transport, client = await world.connect(
            Recorder, address, ssl=trusting, server_hostname="localhost"
        )
        assert transport.get_extra_info("cipher") is not None
        transport.write(bytes(1 << 20))
        transport.close()
        server = await factory.protocol()
        await asyncio.gather(client.lost, server.lost)
        assert server.calls == ["made", bytes(1 << 20), "eof", ("lost", None)]
        with pytest.raises(ssl.SSLCertVerificationError):
            await world.connect(
                Recorder, address, ssl=ssl.create_default_context(), server_hostname="localhost"
            )
        listener.close()

    world.run(program)


def test_a_connection_is_made_secure_later(world: Stock, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def program(world: Stock) -> None:
        loop = asyncio.get_running_loop()
        client, server = await pair(world)
        secured, answering = await asyncio.gather(
            loop.start_tls(client.transport, client, trusting, server_hostname="localhost"),
            loop.start_tls(server.transport, server, serving, server_side=True),
        )
        assert secured is not None and answering is not None
        secured.write(b"secret")
        secured.close()
        await asyncio.gather(client.lost, server.lost)
        assert server.calls == ["made", b"secret", "eof", ("lost", None)]

    world.run(program)


# What only a simulation has.


def simulated(program: Callable[[Network, Machine, Machine], Coroutine[Any, Any, Any]]) -> Any:
    """Runs a program with a server that echoes lines on port 7, and a client."""

    async def main() -> Any:
        network = Network(seed=5, latency=0.5)
        server, client = network.machine("server"), network.machine("client")
        server.start(echo_server)
        await asyncio.sleep(0)
        return await program(network, server, client)

    return qtloop.testing.run(main())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def echo_server() -> None:
    async with await asyncio.start_server(echo, port=7) as server:
        await server.serve_forever()


async def ask(text: bytes = b"hello\n") -> bytes:
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(text)
    try:
        return await reader.readline()
    finally:
        writer.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_latency_is_that_of_each_way() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        assert await client.run(ask()) == b"hello\n"
        assert now() == 2.0  # To connect, and to ask.
        network.link("client", "server").latency = 5
        await client.run(ask())
        assert now() == 22.0
        assert network.link("server", "client").latency == 5

    simulated(program)


def test_bandwidth_takes_its_time() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        network.link("server", "client").bandwidth = 1000
        text = b"x" * 9_999 + b"\n"
        assert await client.run(ask(text)) == text
        assert 2.0 + 10 <= now() <= 2.0 + 25

    simulated(program)


def test_loss_delays_a_stream_and_changes_nothing_in_it() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        network.link("server", "client").loss = 0.5
        lines = [b"%d\n" % number for number in range(1000)]
        reader, writer = await client.run(asyncio.open_connection("server", 7))
        for line in lines:
            writer.write(line)
        assert [await reader.readline() for _ in lines] == lines
        assert now() > 2.0
        writer.close()

    simulated(program)


def test_a_partition_holds_what_is_sent_until_it_is_healed() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        reader, writer = await client.run(asyncio.open_connection("server", 7))
        network.partition("client", "server")
        writer.write(b"hello\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 60)
        network.heal()
        assert await reader.readline() == b"hello\n"
        assert now() == 1 + 60 + 1
        writer.close()

    simulated(program)


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_keeps_every_byte_through_whatever_happens(seed: int) -> None:
    draws = random.Random(seed)
    sent = draws.randbytes(400_000)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(draws.randint(1, 100_000)):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(copy, port=7) as server:
            await server.serve_forever()

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection("server", 7)

        async def send() -> None:
            for start in range(0, len(sent), 30_000):
                writer.write(sent[start : start + 30_000])
                await writer.drain()
                await asyncio.sleep(draws.random())
            writer.write_eof()

        received, _ = await asyncio.gather(reader.read(), send())
        writer.close()
        return received

    async def main() -> None:
        async with Network(latency=0.1, jitter=0.2, loss=0.1, bandwidth=50_000) as network:
            network.machine("server").start(serve)
            exchanging = network.machine("client").create_task(exchange())
            while not exchanging.done():
                network.partition("client", "server")
                await asyncio.sleep(draws.random())
                network.heal()
                network.link("client", "server").latency = draws.random()
                await asyncio.sleep(draws.random() * 5)
            assert exchanging.result() == sent

    qtloop.testing.run(main(), seed=seed)


def test_a_stream_is_given_up_in_a_partition_that_lasts() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        reader, writer = await client.run(asyncio.open_connection("server", 7))
        network.partition("server")
        writer.write(b"hello\n")
        with pytest.raises(TimeoutError, match="timed out"):
            await reader.readline()
        assert 900 < now() < 1000

    simulated(program)


def test_connecting_through_a_partition_times_out() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        network.partition("client", "server")
        with pytest.raises(TimeoutError, match="Connect call failed"):
            await client.run(ask())
        assert now() == 127
        attempt = client.create_task(ask())
        await asyncio.sleep(10)
        network.heal("client")
        assert await attempt == b"hello\n"

    simulated(program)


def test_who_has_given_up_connecting_does_not_connect_later() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        network.partition("client", "server")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.run(ask()), 10)
        network.heal()
        await asyncio.sleep(100)
        assert "server:7" not in {event.source for event in network.trace}

    simulated(program)


def test_a_crash_resets_connections_and_a_restart_serves_again() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        reader, _ = await client.run(asyncio.open_connection("server", 7))
        await asyncio.sleep(1)
        server.crash()
        assert not server.is_up
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        with pytest.raises(ConnectionRefusedError):
            await client.run(ask())
        with pytest.raises(RuntimeError, match="has crashed"):
            server.create_task(echo_server())
        server.restart()
        await asyncio.sleep(0)
        assert await client.run(ask()) == b"hello\n"

    simulated(program)


def test_a_crash_ends_the_tasks_of_the_machine_only() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        async def parent() -> None:
            children.append(asyncio.create_task(asyncio.sleep(100)))
            await asyncio.sleep(100)

        children: list[asyncio.Task[None]] = []
        other = client.create_task(asyncio.sleep(50, "alive"))
        task = server.create_task(parent())
        await asyncio.sleep(1)
        server.crash()
        done, _ = await asyncio.wait([task, *children])
        assert all(one.cancelled() for one in done) and len(done) == 2
        assert await other == "alive"

    simulated(program)


def test_eager_tasks_of_a_machine_are_connected() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))

        async def parent() -> list[bytes]:
            return await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(2)))

        assert await client.run(parent()) == [b"hello\n"] * 2

    simulated(program)


def test_what_does_not_end_in_a_crash_has_no_network() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        outcomes: list[Any] = []

        async def stubborn() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            child = asyncio.create_task(asyncio.sleep(100))
            outcomes.append(await asyncio.gather(child, return_exceptions=True))
            for attempt in ask, echo_server:
                try:
                    await attempt()
                except OSError as error:
                    outcomes.append(error.errno)

        task = client.create_task(stubborn())
        await asyncio.sleep(1)
        client.restart()
        await task
        assert isinstance(outcomes[0][0], asyncio.CancelledError)
        assert outcomes[1:] == [errno.ENETDOWN] * 2
        assert await client.run(ask()) == b"hello\n"

    simulated(program)


def test_the_failure_of_a_machine_is_told() -> None:
    async def fail() -> None:
        raise LookupError("broken")

    async def program(network: Network, server: Machine, client: Machine) -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, it: errors.append(it))
        client.start(fail)
        await asyncio.sleep(1)
        (context,) = errors
        assert "'client'" in context["message"] and isinstance(context["exception"], LookupError)

    simulated(program)


def test_datagrams_are_lost_and_refused() -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: list[Any] = []

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.append((data, addr))

        def error_received(self, exc: Exception) -> None:
            self.got.append(type(exc))

    async def program(network: Network, server: Machine, client: Machine) -> None:
        loop = asyncio.get_running_loop()
        receiving, receiver = await server.run(
            loop.create_datagram_endpoint(Datagrams, local_addr=("server", 53))
        )
        sending, sender = await client.run(
            loop.create_datagram_endpoint(Datagrams, remote_addr=("server", 53))
        )
        sending.sendto(b"1")
        await asyncio.sleep(1)
        assert receiver.got == [(b"1", sending.get_extra_info("sockname"))]
        receiving.sendto(b"answer", receiver.got[0][1])
        await asyncio.sleep(1)
        assert sender.got == [(b"answer", (server.address, 53))]
        network.partition("client", "server")
        sending.sendto(b"2")
        network.heal()
        network.link("client", "server").loss = 0.5
        for _ in range(100):
            sending.sendto(b"3")
        await asyncio.sleep(1)
        assert 0 < len(receiver.got) - 1 < 100
        assert (b"2", sending.get_extra_info("sockname")) not in receiver.got
        receiving.close()
        network.link("client", "server").loss = 0
        sending.sendto(b"4")
        await asyncio.sleep(2)
        assert sender.got[-1] is ConnectionRefusedError

    simulated(program)


def test_nothing_runs_on_a_machine_after_the_network() -> None:
    async def main() -> None:
        async with Network() as network:
            server = network.machine("server")
            serving = server.start(echo_server)
            await asyncio.sleep(0)
            assert await network.machine("client").run(ask()) == b"hello\n"
        assert serving.cancelled() and not server.is_up
        assert asyncio.all_tasks() == {asyncio.current_task()}

    qtloop.testing.run(main())


def test_an_unknown_name_is_not_resolved() -> None:
    async def program(network: Network, server: Machine, client: Machine) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(socket.gaierror):
            await client.run(asyncio.open_connection("nowhere", 7))
        assert (await client.run(loop.getaddrinfo("server", 7)))[0][4] == (server.address, 7)
        with pytest.raises(ValueError, match="no machine 'nowhere'"):
            network.partition("nowhere")

    simulated(program)


def test_the_same_seed_gives_the_same_trace() -> None:
    async def main(seed: int) -> list[qtloop.testing.Event]:
        network = Network(seed, latency=0.1, jitter=0.1, loss=0.1)
        network.machine("server").start(echo_server)
        await asyncio.sleep(0)
        clients = [network.machine(f"client {number}") for number in range(5)]
        await asyncio.gather(*(client.run(ask()) for client in clients))
        network.machine("server").crash()
        return network.trace

    def trace(seed: int, order: int | None = None) -> list[qtloop.testing.Event]:
        return qtloop.testing.run(main(seed), seed=order)

    assert trace(1) == trace(1) and trace(1, order=3) == trace(1, order=3)
    assert trace(1) != trace(2)
    assert {"connect", "data", "end", "crash"} <= {event.what for event in trace(1)}


def test_a_network_needs_a_simulated_loop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="needs a simulated loop"):
            Network()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def test_outside_of_machines_sockets_are_real() -> None:
    async def main() -> bytes:
        Network().machine("server")
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert isinstance(writer.get_extra_info("socket").fileno(), int)
            writer.write(b"real\n")
            try:
                return await reader.readline()
            finally:
                writer.close()

    assert qtloop.testing.run(main()) == b"real\n"
