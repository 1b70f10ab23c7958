"""What asyncio schedules: callbacks, timers, handles and tasks, in which order and how fairly."""
