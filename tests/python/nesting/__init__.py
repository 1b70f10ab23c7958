"""Event loops inside event loops: a modal dialog's, and those of `nest_asyncio`."""
