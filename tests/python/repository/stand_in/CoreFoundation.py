"""Stands in for PyObjC's CoreFoundation, for a program that is to run where there is no macOS.

It follows Apple's documentation of the functions that the program uses. What it shows is that the
program's own code runs and does what it is meant to; of macOS it shows nothing.
"""

import selectors
import time
from collections.abc import Callable
from typing import Any

kCFFileDescriptorReadCallBack = 1
kCFRunLoopCommonModes = "common modes"


class Timer:
    def __init__(self, when: float, callout: Callable[[Any, Any], object]) -> None:
        self.when = when
        self.callout = callout
        self.is_valid = True


class FileDescriptor:
    def __init__(self, fd: int, callout: Callable[[Any, int, Any], object]) -> None:
        self.fd = fd
        self.callout = callout
        self.is_enabled = False
        self.is_valid = True


class RunLoop:
    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.descriptors: list[FileDescriptor] = []
        self.is_stopped = False

    def run(self) -> None:
        self.is_stopped = False
        while not self.is_stopped:
            timers = [timer for timer in self.timers if timer.is_valid]
            wait = min(timer.when for timer in timers) - time.time()
            for descriptor in self.readable(max(0, wait)):
                descriptor.is_enabled = False
                descriptor.callout(descriptor, kCFFileDescriptorReadCallBack, None)
            for timer in timers:
                if timer.is_valid and timer.when <= time.time():
                    timer.when += 1e10
                    timer.callout(timer, None)

    def readable(self, wait: float) -> list[FileDescriptor]:
        with selectors.DefaultSelector() as selector:
            for descriptor in self.descriptors:
                if descriptor.is_valid and descriptor.is_enabled:
                    selector.register(descriptor.fd, selectors.EVENT_READ, descriptor)
            return [key.data for key, _ in selector.select(min(wait, 3600))]


MAIN = RunLoop()


def CFAbsoluteTimeGetCurrent() -> float:
    return time.time()


def CFRunLoopGetCurrent() -> RunLoop:
    return MAIN


def CFRunLoopRun() -> None:
    MAIN.run()


def CFRunLoopStop(run_loop: RunLoop) -> None:
    run_loop.is_stopped = True


def CFRunLoopTimerCreate(
    allocator: None,
    date: float,
    interval: float,
    flags: int,
    order: int,
    callout: Any,
    context: None,
) -> Timer:
    return Timer(date, callout)


def CFRunLoopTimerSetNextFireDate(timer: Timer, date: float) -> None:
    timer.when = date


def CFRunLoopTimerInvalidate(timer: Timer) -> None:
    timer.is_valid = False


def CFRunLoopAddTimer(run_loop: RunLoop, timer: Timer, mode: str) -> None:
    run_loop.timers.append(timer)


def CFFileDescriptorCreate(
    allocator: None, fd: int, close: bool, callout: Any, context: None
) -> FileDescriptor:
    return FileDescriptor(fd, callout)


def CFFileDescriptorEnableCallBacks(descriptor: FileDescriptor, kinds: int) -> None:
    descriptor.is_enabled = True


def CFFileDescriptorInvalidate(descriptor: FileDescriptor) -> None:
    descriptor.is_valid = False


def CFFileDescriptorCreateRunLoopSource(
    allocator: None, descriptor: FileDescriptor, order: int
) -> FileDescriptor:
    return descriptor


def CFRunLoopAddSource(run_loop: RunLoop, source: FileDescriptor, mode: str) -> None:
    run_loop.descriptors.append(source)
