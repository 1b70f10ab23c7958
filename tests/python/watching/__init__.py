"""What watches a loop: its counters, debug mode, the watchdog, Python's own tools."""
