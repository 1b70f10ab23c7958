"""The Qt side: widgets that show what they are told, and know nothing of asyncio."""
