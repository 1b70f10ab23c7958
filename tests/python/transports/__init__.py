"""Transports and their protocols: streams, datagrams, pipes, servers and TLS."""
