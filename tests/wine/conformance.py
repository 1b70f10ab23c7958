"""CPython's own tests of asyncio on Windows, in one process: starting one takes long on Wine.

    tests/wine/python tests/wine/conformance.py MODULE:LOOP PATTERN...

The patterns are globs of `module.Class.test`. The tests have to be in the folder `Lib/test` of that
Python, which the package has left out. What hangs is ended after a while, with a traceback, and so
is the process: leave it out with a pattern that begins with "-".
"""

import faulthandler
import fnmatch
import importlib
import sys
import unittest

from qtloop.conformance import injection
from qtloop.conformance.choice import choice_of
from qtloop.conformance.discovery import PACKAGE
from qtloop.conformance.exclusions import EXCLUSIONS
from qtloop.conformance.runs import named

#: Seconds that one test may take.
PATIENCE = 90


class Result(unittest.TextTestResult):
    def startTest(self, test: unittest.TestCase) -> None:  # unittest's name.
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # unittest's name.
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()


def main() -> int:
    loop, *patterns = sys.argv[1:]
    wanted = [pattern for pattern in patterns if not pattern.startswith("-")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("-")]
    unwanted += [each.pattern for each in EXCLUSIONS if "Windows" not in each.reason]
    injection.install(choice_of(named(loop)), None)
    suite = unittest.TestSuite()
    for name in sorted({pattern.partition(".")[0] for pattern in wanted}):
        module = importlib.import_module(f"{PACKAGE}.{name}")
        injection.adapt(module)
        for test in flat(unittest.defaultTestLoader.loadTestsFromModule(module)):
            path = test.id().removeprefix(f"{PACKAGE}.")
            if any(fnmatch.fnmatchcase(path, pattern + "*") for pattern in wanted) and not any(
                fnmatch.fnmatchcase(path, pattern) for pattern in unwanted
            ):
                suite.addTest(test)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
    return 0 if result.wasSuccessful() else 1


def flat(suite: unittest.TestSuite) -> "list[unittest.TestCase]":
    found: list[unittest.TestCase] = []
    for each in suite:
        found += flat(each) if isinstance(each, unittest.TestSuite) else [each]
    return found


if __name__ == "__main__":
    sys.exit(main())
