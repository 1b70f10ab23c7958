"""What qtloop offers to tests: simulated time and networks, seeds, the pytest plugin."""
