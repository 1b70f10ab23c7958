"""File descriptors and sockets without a transport: `add_reader` and its kin, and `loop.sock_*`."""
