"""A Qt window fed by asyncio code that runs in the same thread: `python -m examples.dashboard`."""
