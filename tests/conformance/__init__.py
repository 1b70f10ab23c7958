"""CPython's own asyncio tests, run with a loop of our choice in place of the stock one.

    python -m tests.conformance --loop qtloop --binding PyQt6

The standard is the interpreter's `test.test_asyncio`: a loop conforms when it passes and skips
exactly the tests that stock asyncio passes and skips. The harness is public, `qtloop.conformance`,
and lists every test that is left out, and why. This runs it in all the configurations that there
are, and compares.
"""
