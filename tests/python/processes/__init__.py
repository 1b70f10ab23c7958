"""The process and its children: fork, exit, subprocesses, Unix signals and Ctrl-C."""
