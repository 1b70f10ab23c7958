"""What all suites have in common."""

import signal

pytest_plugins = ["hangs"]

# A job in the background ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
