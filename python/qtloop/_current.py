"""Which loop the code belongs to that Qt calls, and which one a program that embeds the interpreter
offers."""

import asyncio
import threading
from asyncio import events
from typing import TYPE_CHECKING, cast

from . import _core

if TYPE_CHECKING:
    from ._loop import EventLoop

_thread = threading.local()


def current() -> "EventLoop":
    """The qtloop loop that runs in this thread or is attached to it, also as a guest inside another
    asyncio loop.

    Raises RuntimeError if there is none, or if the running loop is another kind of loop. For any
    thread.
    """
    loop = guest() or running()
    if not isinstance(loop, _core.Loop):
        raise RuntimeError("no loop of qtloop's runs in this thread or is attached to it")
    return cast("EventLoop", loop)


def current_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs in this thread, or is attached to it.

    Raises RuntimeError if there is none.
    """
    loop = running() or guest()
    if loop is None:
        raise RuntimeError("no running event loop in this thread")
    return loop


def running() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread. If it is another kind of loop, there may be a guest inside
    it."""
    return events._get_running_loop()


def guest() -> asyncio.AbstractEventLoop | None:
    """The loop that is attached to this thread inside another asyncio loop."""
    loop: asyncio.AbstractEventLoop | None = getattr(_thread, "guest", None)
    return loop


def enter_guest(loop: "EventLoop") -> None:
    """Notes the loop as this thread's guest."""
    _thread.guest = loop
    loop._thread_id = threading.get_ident()


def leave_guest(loop: "EventLoop") -> None:
    """The loop is the guest no more, if it was."""
    loop._thread_id = None
    if guest() is loop:
        _thread.__dict__.pop("guest", None)


def offer(loop: "EventLoop") -> None:
    """Makes a loop the one that `offered` gives out in this thread."""
    _thread.offered = loop


def offered() -> "EventLoop | None":
    """The loop that the embedding program has made for this thread, if it can run now."""
    loop: EventLoop | None = getattr(_thread, "offered", None)
    return None if loop is None or loop.is_running() or loop.is_closed() else loop
