"""`connect_read_pipe` and `connect_write_pipe`."""

import asyncio
import os
from asyncio import AbstractEventLoop
from typing import Any

import pytest

BIG = bytes(range(256)) * 4_096  # 1 MiB: more than a pipe holds.


async def reader_of(loop: AbstractEventLoop, fd: int) -> tuple[Any, asyncio.StreamReader]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", 0))
    return transport, reader


class Writing(asyncio.BaseProtocol):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.closed = asyncio.get_running_loop().create_future()

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(exc)


async def writer_of(loop: AbstractEventLoop, fd: int) -> tuple[Any, Writing]:
    return await loop.connect_write_pipe(Writing, os.fdopen(fd, "wb", 0))


async def test_a_pipe_is_read_to_its_end(loop: AbstractEventLoop) -> None:
    read_fd, write_fd = os.pipe()
    transport, reader = await reader_of(loop, read_fd)
    os.write(write_fd, b"one\ntwo\n")
    assert await reader.readline() == b"one\n"
    os.close(write_fd)
    assert await reader.read() == b"two\n"
    transport.close()


async def test_big_data_goes_through_with_flow_control(loop: AbstractEventLoop) -> None:
    read_fd, write_fd = os.pipe()
    writer, writing = await writer_of(loop, write_fd)
    writer.write(BIG)
    assert writing.calls == ["pause"]
    writer.close()
    transport, reader = await reader_of(loop, read_fd)
    assert await reader.read() == BIG
    assert await writing.closed is None
    assert writing.calls == ["pause", "resume"]
    transport.close()


async def test_a_writer_hears_that_its_reader_is_gone(loop: AbstractEventLoop) -> None:
    read_fd, write_fd = os.pipe()
    writer, writing = await writer_of(loop, write_fd)
    os.close(read_fd)
    assert isinstance(await writing.closed, BrokenPipeError | None)
    assert writer.is_closing()


async def test_reading_can_be_paused(loop: AbstractEventLoop) -> None:
    read_fd, write_fd = os.pipe()
    transport, reader = await reader_of(loop, read_fd)
    transport.pause_reading()
    os.write(write_fd, b"later\n")
    reading = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0.005)
    assert not reading.done()
    transport.resume_reading()
    assert await reading == b"later\n"
    os.close(write_fd)
    transport.close()


async def test_a_regular_file_is_no_pipe(loop: AbstractEventLoop, tmp_path: Any) -> None:
    with (
        (tmp_path / "file").open("wb", 0) as file,
        pytest.raises(ValueError, match="only for pipes"),
    ):
        await loop.connect_write_pipe(Writing, file)
