"""`python -m qtloop`: what a loop would be made of here, and why."""

import sys

from . import __version__, _about

if __name__ == "__main__":
    sys.exit(_about.main(__version__))
