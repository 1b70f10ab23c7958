"""`python -m tests.stress`."""

import sys

from .main import main

sys.exit(main())
