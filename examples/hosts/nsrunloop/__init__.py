"""asyncio inside Cocoa's NSRunLoop, on macOS or GNUstep. `python -m examples.hosts.nsrunloop` runs
a program.

The host is written in Objective-C, `host.m`, and compiled when it is first asked for: on macOS with
clang, elsewhere with GCC's Objective-C (Debian: gobjc, libgnustep-base-dev).
"""

from .build import nsrunloop

__all__ = ["nsrunloop"]
