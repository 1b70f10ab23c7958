"""Tests on machines that are simulated, in orders that seeds decide. No Qt is needed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from visitors import Visitors, visit

import qtloop.testing
from qtloop.testing import Machine, Network

simulated = pytest.mark.qtloop(simulated=True)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network(latency=0.02) as network:
        network.machine("server").start(Visitors().serve)
        yield network


@pytest.fixture
def client(network: Network) -> Machine:
    return network.machine("client")


@simulated
async def test_it_asks_until_the_partition_is_healed(network: Network, client: Machine) -> None:
    network.partition("client", "server")
    visiting = client.create_task(visit("server", "ann"))
    await asyncio.sleep(3600)
    assert not visiting.done()
    network.heal()
    assert await visiting == 1
    assert asyncio.get_running_loop().time() < 3604


@simulated
async def test_it_asks_until_the_server_is_back(network: Network, client: Machine) -> None:
    assert await client.run(visit("server", "ann")) == 1
    network.machine("server").crash()
    visiting = client.create_task(visit("server", "bob"))
    await asyncio.sleep(60)
    network.machine("server").restart()
    assert await visiting == 2


async def come_one_by_one(visitors: Visitors) -> None:
    """Each adds itself long after the one before; but how long is that?"""

    async def come(number: int) -> None:
        for _ in range(5 * number):
            await asyncio.sleep(0)
        await visitors.add(str(number))

    await asyncio.gather(*map(come, range(3)))
    assert len(visitors.names) == 3


@pytest.mark.qtloop(simulated=True, seeds=range(20))
async def test_nobody_is_forgotten() -> None:
    await come_one_by_one(Visitors())


class Hasty(Visitors):
    """Does without the lock."""

    async def add(self, name: str) -> None:
        await self._add(name)


def test_a_seed_finds_the_race() -> None:
    qtloop.testing.run(come_one_by_one(Hasty()))
    with pytest.raises(AssertionError) as caught:
        qtloop.testing.explore(lambda: come_one_by_one(Hasty()))
    (note,) = caught.value.__notes__
    assert "seed=" in note
