"""Who keeps what alive: leaks, the garbage collector, references, failed allocations."""
