"""A game that has a loop of its own: asyncio gets a share of each frame. `python -m
examples.hosts.game`."""

from .host import GameHost

__all__ = ["GameHost"]
