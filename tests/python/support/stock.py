"""What the stock loop of this Python can do, which the tests compare with."""

import asyncio
import asyncio.unix_events

import pytest

#: Whether asyncio's own datagram transports can pause, as they can in later releases of 3.11.
CAN_PAUSE_DATAGRAMS = (
    asyncio.selector_events._SelectorDatagramTransport.pause_reading
    is not asyncio.ReadTransport.pause_reading
)
#: Its pipes do not say whether they read in early releases of 3.11. There, no transport keeps to a
#: pause or a close that `connection_made` asks for.
needs_reading_state = pytest.mark.skipif(
    asyncio.unix_events._UnixReadPipeTransport.is_reading is asyncio.ReadTransport.is_reading,
    reason="this asyncio has nothing to compare with",
)
