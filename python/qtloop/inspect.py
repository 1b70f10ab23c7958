"""`python -m qtloop.inspect PID`: what the loops of another process do."""

import argparse
import json
import sys
from typing import Any, Final

from .inspector import _meeting, _text

#: Seconds that a process has for its answer.
PATIENCE: Final = 10.0


class NoAnswer(Exception):
    """A process does not answer. The message is the reason."""


def ask(pid: int) -> dict[str, Any]:
    """What the process says about its loops. Raises NoAnswer if it says nothing."""
    if not _meeting.is_alive(pid):
        raise NoAnswer(f"there is no process {pid}")
    try:
        connection = _meeting.connect(pid, PATIENCE)
        if connection is None:
            raise NoAnswer(_not_listening(pid))
        with connection:
            data = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        raise NoAnswer(f"process {pid} does not answer: {error}") from error
    if not data:
        raise NoAnswer(f"process {pid} has hung up: perhaps it ends just now")
    answer: dict[str, Any] = json.loads(data)
    return answer


def _not_listening(pid: int) -> str:
    return (
        f"process {pid} does not listen: it has to call qtloop.inspector.listen(), or be started "
        f"with QTLOOP_INSPECT=1, by this user"
    )


def main(arguments: list[str] | None = None) -> int:
    """The program. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m qtloop.inspect", description=__doc__)
    parser.add_argument("pid", type=int, metavar="PID", help="the process")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        answer = ask(options.pid)
    except NoAnswer as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        text = _text.of_answer(answer)
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    return 0


if __name__ == "__main__":
    sys.exit(main())
