"""`python -m qtloop.notebook install`, and what the installed kernelspec starts."""

import os
import sys


def main() -> int:
    """Installs the kernel, or runs it. The exit code."""
    # As ipykernel's own launcher: no file of the notebook's folder hides a module of the kernel's.
    # The shell adds the folder again.
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    if sys.argv[1:2] == ["install"]:
        from ._install import main as install

        return install(sys.argv[2:])
    from ._kernel import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
