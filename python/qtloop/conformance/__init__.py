"""CPython's own tests of asyncio, run on a loop of your choice in place of the stock one.

    python -m qtloop.conformance MODULE:FACTORY

FACTORY is the class of the loop, or any function that makes one, as `uvloop:new_event_loop`; the
tests make loops of that class, without arguments. `--before MODULE:FUNCTION` is called once in each
process before any loop is made: a GUI makes its application there. What is printed is a table of
what passes, and each failure.

The standard is the interpreter's `test.test_asyncio`: run `asyncio:SelectorEventLoop` first to see
what your machine passes. Each class of tests runs in a process of its own, so a hang or a crash
costs one test. `exclusions.py` lists every test that is left out, and why; it is left out for every
loop, stock included. A test that has made or run another loop than yours has failed.

Tests of timers come with a script of how time passes. `--clock MODULE:CLASS` is mixed in before
your loop's class to put it on a clock that starts at 0.0 and jumps to the next deadline when
nothing else is to do. qtloop's loops and the stock one have such a clock. Another loop without it
leaves these tests the fake loop that they come with; then they say nothing about yours.
"""
