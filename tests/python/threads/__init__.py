"""Threads: calls between them, loops and Qt objects in them, the executor."""
