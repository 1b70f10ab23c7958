"""Everything at once, for as long as you like: what a loop must keep straight while nobody is
careful.

    python -m tests.stress --seconds 60 --loop qtloop --host qt --fds epoll --seed 7

Actors (`actors`, and `tls` for those that speak TLS) open connections of every kind, send,
half-close, reset, pause, cancel and raise exceptions, beside timers, threads and nested event
loops. Checks (`checks`) see every byte and the order of callbacks. The ledger (`ledger`) knows what
must still happen. After each round nothing may be left (`main`).
"""
