"""The behaviour suite: what a user of the loop sees, on stock asyncio as the oracle and on
qtloop."""
