"""The ways to get a loop, and its life: run, attach, stop, close, and the application's quit."""
