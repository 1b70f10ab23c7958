"""What Rust's transports leave to Python because it happens rarely: messages, reports, and
descriptions of sockets."""

import asyncio
import contextvars
import errno
import functools
import inspect
import logging
import math
import socket
import sys
import warnings
from asyncio import base_events, constants, selector_events, trsock
from collections.abc import Iterable
from typing import Any, Final

_logger: logging.Logger = base_events.logger  # type: ignore[attr-defined]

#: The errors of accepting when the process or the system has no resources left. It is tried again
#: later.
OUT_OF_RESOURCES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

set_nodelay = base_events._set_nodelay  # type: ignore[attr-defined]
"""Switches Nagle's algorithm off, if the socket has it."""


_server_wants_transports = len(inspect.signature(asyncio.Server._attach).parameters) > 1  # type: ignore[attr-defined]


def attach(server: Any, transport: Any) -> None:
    """Tells the server that it has one more connection."""
    server._attach(*([transport] if _server_wants_transports else []))


def detach(server: Any, transport: Any) -> None:
    """Tells the server that it has one connection less."""
    server._detach(*([transport] if _server_wants_transports else []))


def describe_socket(
    extra: dict[str, Any], sock: socket.socket | None, local: Any, peer: Any
) -> None:
    """Fills in what a transport says about its socket. `local` and `peer` are for a socket that
    does not know."""
    if sock is None:
        sock = socket.socket()
        sock.close()
    extra["socket"] = trsock.TransportSocket(sock)
    try:
        extra["sockname"] = sock.getsockname()
    except OSError:
        extra["sockname"] = local
    if "peername" not in extra:
        try:
            extra["peername"] = sock.getpeername()
        except OSError:
            extra["peername"] = peer


def describe(
    transport: Any, state: tuple[bool, bool, bool], fd: int, reads: bool, writes: bool, size: int
) -> str:
    """The `repr` of a transport. `state` says whether its socket is closed, whether it is closing,
    and whether its loop is alive."""
    info = _state(transport, state, fd)
    if state[2]:
        info.append(f"read={'polling' if reads else 'idle'}")
        info.append(f"write=<{'polling' if writes else 'idle'}, bufsize={size}>")
    return f"<{' '.join(info)}>"


def describe_pipe(
    transport: Any, state: tuple[bool, bool, bool], fd: int, is_polling: bool, size: int | None
) -> str:
    """The `repr` of a pipe transport. `state` is as for `describe`. `size` is the size of what
    waits to be written, if the pipe is written to."""
    is_closed, _, is_alive = state
    info = _state(transport, state, fd)
    if is_closed:
        info.append("closed")
    elif is_alive:
        info.append("polling" if is_polling else "idle")
        if size is not None:
            info.append(f"bufsize={size}")
    else:
        info.append("open")
    return f"<{' '.join(info)}>"


def _state(transport: Any, state: tuple[bool, bool, bool], fd: int) -> list[str]:
    is_closed, is_closing, _ = state
    stage = ["closed"] if is_closed else ["closing"] if is_closing else []
    return [type(transport).__name__, *stage, f"fd={fd}"]


def debug(message: str, transport: Any) -> None:
    """Logs a step of a transport, in debug mode."""
    _logger.debug(message, transport)


def closed_by_peer(transport: Any) -> None:
    """Logs the end of a pipe, in debug mode."""
    _logger.info("%r was closed by peer", transport)


def report(loop: Any, message: str, error: BaseException, transport: Any, protocol: Any) -> None:
    """Gives an exception of a protocol to the exception handler."""
    if loop is not None:
        loop.call_exception_handler(
            {"message": message, "exception": error, "transport": transport, "protocol": protocol}
        )


def fatal_error(
    loop: Any, message: str, error: BaseException, transport: Any, protocol: Any
) -> None:
    """Reports what has ended a connection, unless that is an ordinary error of the network."""
    if not isinstance(error, OSError):
        report(loop, message, error, transport, protocol)
    elif loop is not None and loop.get_debug():
        _logger.debug("%r: %s", transport, message, exc_info=error)


def refused(data: Any) -> TypeError:
    """The stock transport's error for data that is not bytes-like. Its words differ between
    versions."""
    try:
        selector_events._SelectorSocketTransport.write(None, data)  # type: ignore[attr-defined]
    except TypeError as error:
        return error.with_traceback(None)
    raise AssertionError("not reached")


def pieces(list_of_data: Iterable[Any]) -> list[memoryview]:
    """The data that `writelines` is given; TypeError for what is not bytes-like."""
    return [memoryview(data) for data in list_of_data]


def written_in_vain(times: int, warning: str) -> None:
    """Something was written in vain, which has happened `times` times before."""
    if times >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
        _logger.warning(warning)


def write_buffer_limits(high: Any, low: Any) -> tuple[int, int, tuple[Any, Any] | None]:
    """The low and the high water mark. One or both may be left to the rule. They may be any
    numbers: returns them as sizes, and as they are if that differs."""
    if high is None:
        high = 64 * 1024 if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    if type(low) is type(high) is int and high <= sys.maxsize:
        return low, high, None
    return _as_size(low), _as_size(high), (low, high)


def _as_size(limit: Any) -> int:
    """The size that has the same whole sizes below and above it."""
    return sys.maxsize if limit >= sys.maxsize else math.floor(limit)


def warn_unclosed(transport: Any) -> None:
    """Warns that a transport to which nobody refers any more was not closed."""
    warnings.warn(
        f"unclosed transport {transport!r}", ResourceWarning, source=transport, stacklevel=2
    )


def accepted(server: Any, sock: socket.socket) -> None:
    """Logs that a connection was accepted, in debug mode."""
    try:
        peer = sock.getpeername()
    except OSError:  # It is gone already.
        peer = None
    _logger.debug("%r got a new connection from %r: %r", server, peer, sock)


def not_begun(loop: Any, error: BaseException, protocol: Any, transport: Any = None) -> None:
    """Reports that no protocol or no transport could be made for an incoming connection, or that
    its handshake has failed."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        raise error
    if not loop.get_debug():
        return
    context = {
        "message": "Error on transport creation for incoming connection",
        "exception": error,
    }
    if protocol is not None:
        context["protocol"] = protocol
    if transport is not None:
        context["transport"] = transport
    loop.call_exception_handler(context)


def accept_later(
    loop: Any, error: OSError, again: tuple[Any, ...], context: contextvars.Context | None
) -> None:
    """Reports that nothing can be accepted because resources are missing. `context` is the server's
    own, from Python 3.15 on."""
    factory, sock, tls, server, backlog = again
    loop.call_exception_handler(
        {
            "message": "socket.accept() out of system resource",
            "exception": error,
            "socket": trsock.TransportSocket(sock),
        }
    )
    sslcontext, options = (None, {}) if tls is None else (tls.sslcontext, {**tls.timeouts})
    if context is not None:
        options["context"] = context
    serve = functools.partial(loop._start_serving, **options) if options else loop._start_serving
    loop.call_later(constants.ACCEPT_RETRY_DELAY, serve, factory, sock, sslcontext, server, backlog)
