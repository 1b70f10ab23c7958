"""The asyncio side: ordinary coroutines that know nothing of Qt."""
