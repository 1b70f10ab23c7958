"""The loop on Unix: `asyncio.SelectorEventLoop`, with transports and pipes in Rust.

A pidfd reports the end of a child process, where there are pidfds: see `_subprocess`.
"""

import asyncio
import contextlib
import os
import signal
import stat
import weakref
from asyncio import unix_events
from collections.abc import Callable
from typing import Any, Final

from . import _asyncio_hooks, _connecting, _core, _stock_attributes, _subprocess, _tls

#: The class of the default event loop policy; None where Python has no policies any more.
default_policy: type[Any] | None = getattr(
    unix_events, "_DefaultEventLoopPolicy", getattr(unix_events, "DefaultEventLoopPolicy", None)
)


def after_fork_in_child(call: Callable[[], object]) -> None:
    """Arranges that `call` is called in the child of every fork."""
    os.register_at_fork(after_in_child=call)


#: What `sock_*` return, which asyncio's own loop would make coroutines.
OPERATIONS: Final[tuple[type[Any], ...]] = (_core.SocketOperation,)

#: What a transport is, by its class.
TRANSPORTS: Final[dict[type[Any], str]] = {
    _core.SocketTransport: "stream",
    _core.DatagramTransport: "datagram",
    _core.ReadPipeTransport: "read pipe",
    _core.WritePipeTransport: "write pipe",
}


def fd_of(transport: Any) -> int:
    """The number of the transport's file."""
    number = getattr(transport, "_sock_fd", None)
    return int(transport._fileno if number is None else number)


def kind_of_fd(fd: int) -> str:
    """What is behind the number."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed"
    kinds = {
        "socket": stat.S_ISSOCK,
        "pipe": stat.S_ISFIFO,
        "character device": stat.S_ISCHR,
        "file": stat.S_ISREG,
    }
    return next((name for name, fits in kinds.items() if fits(mode)), "other")


class Loop(_core.Loop, _asyncio_hooks.StockLoop):
    """The part of the loop that does I/O."""

    _forward_signals_to: int | None = None
    _selector = _stock_attributes.FixedName(_stock_attributes.WATCHING)

    def __init__(self) -> None:
        #: The handshakes of accepted connections that are under way.
        self._handshakes: weakref.WeakSet[_tls.Handshake] = weakref.WeakSet()
        super().__init__(_asyncio_hooks.Selector(self))

    def _process_self_data(self, data: bytes) -> None:
        if self._forward_signals_to is not None:
            with contextlib.suppress(OSError):
                os.write(self._forward_signals_to, data)
        super()._process_self_data(data)

    def remove_signal_handler(self, sig: int) -> bool:
        """Removes the handler of a signal; True if there was one."""
        removed = super().remove_signal_handler(sig)
        if removed and self.is_running():
            # The stock method unsets the wake-up fd when it removes the last handler.
            signal.set_wakeup_fd(self._csock.fileno(), warn_on_full_buffer=False)
        return removed

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *others: Any,
        **options: Any,
    ) -> None:
        # First two timeouts, for TLS only. From Python 3.15 there is also a context.
        timeouts = dict(zip(_tls.TIMEOUTS, others, strict=False))
        timeouts |= {name: options.pop(name) for name in _tls.TIMEOUTS if name in options}
        if sslcontext:
            options["tls"] = _tls.Acceptance(self, sslcontext, timeouts)
        self._listen(protocol_factory, sock, server, backlog, *others[2:3], **options)

    async def shutdown_asyncgens(self) -> None:
        """Closes the asynchronous generators that are not finished. When this is called, the run
        is over and its tasks are cancelled. Accepted connections whose handshake is under way have
        such a task with asyncio. Here they have none, and are closed now."""
        _tls.end_handshakes(self._handshakes)
        await super().shutdown_asyncgens()

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        **options: Any,
    ) -> Any:
        # The protocol takes the timeouts. The transport takes the other options: from Python 3.15
        # its context.
        for_protocol, for_transport = _asyncio_hooks.split_tls_options(options)
        ssl_protocol = _tls.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **for_protocol
        )
        self._make_socket_transport(
            rawsock, ssl_protocol, extra=extra, server=server, **for_transport
        )
        return ssl_protocol._app_transport

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """Connects to a server by TCP, and makes a transport and a protocol.

        Takes the arguments of asyncio's method. A numeric address without options takes the short
        path.
        """
        dialed = None if options or self._debug else _connecting.dial(self, host, port)
        if dialed is None:
            return await super().create_connection(protocol_factory, host, port, **options)
        try:
            is_connected = dialed.connect()
            waited = None if is_connected else await _connecting.connected(self, dialed)
        except OSError:
            # In asyncio a connection is never refused before the others have had their turn. A
            # slot that connects has then shown what it is about to do.
            await asyncio.sleep(0)
            raise
        if waited is not None:
            return await self._create_connection_transport(waited, protocol_factory, None, None)
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = dialed.transport(self, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _look_up_and_connect(self, sock: Any, address: Any) -> None:
        """Does the work of `sock_connect` if the address has to be looked up, or if the socket's
        class is not exactly `socket.socket`."""
        await _connecting.look_up_and_connect(self, sock, address)

    async def start_tls(
        self, transport: Any, protocol: Any, sslcontext: Any, **options: Any
    ) -> Any:
        """Upgrades a transport to TLS. From then on the protocol uses the new transport."""
        if _tls.is_ours(transport):
            return await _tls.start_tls(self, transport, protocol, sslcontext, **options)
        return await super().start_tls(transport, protocol, sslcontext, **options)

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> Any:
        self._lend_fd(transp, True)
        is_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        try:
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._reset_empty_waiter()
            if is_reading:
                transp.resume_reading()
            self._lend_fd(transp, False)

    async def _sock_sendfile_native(
        self, sock: Any, file: Any, offset: int, count: int | None
    ) -> Any:
        # The stock method keeps the file's number. If the program closes the file, the number may
        # name another file.
        try:
            held = _Held(file)
        except (AttributeError, OSError):
            return await super()._sock_sendfile_native(sock, file, offset, count)
        with held:
            return await super()._sock_sendfile_native(sock, held, offset, count)

    async def _make_subprocess_transport(
        self, protocol: Any, args: Any, shell: bool, *stdio: Any, **kwargs: Any
    ) -> Any:
        if _subprocess.has_watcher(self):
            return await super()._make_subprocess_transport(protocol, args, shell, *stdio, **kwargs)
        return await _subprocess.make_transport(self, protocol, args, shell, *stdio, **kwargs)


class _Held:
    """A duplicate of an open file. It stays open even if the program closes the original object."""

    def __init__(self, file: Any) -> None:
        self._number = os.dup(file.fileno())

    def fileno(self) -> int:
        return self._number

    def __enter__(self) -> "_Held":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._number)
