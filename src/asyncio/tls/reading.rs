//! From the peer to the program: data is decrypted, and the program's protocol is told.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySlice;

use super::engine::{This, or_fatal};
use super::names::{Flag, Object};
use super::scratch::{SIZE, Scratch};
use super::stock::{State, stock};
use super::writing;
use crate::asyncio::class::border::to_int;
use crate::asyncio::class::buffer::to_bytes;
use crate::asyncio::stream_reader::Reader;

/// The transport has read `count` bytes into the scratch.
///
/// # Errors
/// As the stock class's `buffer_updated`.
pub fn received(this: &This<'_>, mut scratch: Scratch, count: usize) -> PyResult<()> {
    let py = this.py();
    let take_in = this.get().method(py, |calls| &calls.take_in)?;
    scratch.lend(py, 0..count, |data| take_in.call1((data,)).map(drop))?;
    has_come(this, Some(scratch))
}

/// The first `count` bytes of the buffer that was lent are filled.
pub fn buffer_updated(this: &This<'_>, count: isize) -> PyResult<()> {
    let py = this.py();
    let data =
        this.getattr(intern!(py, "_ssl_buffer_view"))?.get_item(PySlice::new(py, 0, count, 1))?;
    this.get().method(py, |calls| &calls.take_in)?.call1((data,))?;
    has_come(this, None)
}

fn has_come(this: &This<'_>, scratch: Option<Scratch>) -> PyResult<()> {
    let step = match this.get().state() {
        State::Wrapped => return do_read(this, scratch),
        State::DoHandshake => intern!(this.py(), "_do_handshake"),
        State::Flushing => intern!(this.py(), "_do_flush"),
        State::Shutdown => intern!(this.py(), "_do_shutdown"),
        State::Unwrapped | State::Other => return Ok(()),
    };
    drop(scratch);
    this.call_method0(step).map(drop)
}

/// Gives the program everything that can be decrypted, then writes what that has caused.
pub fn do_read(this: &This<'_>, scratch: Option<Scratch>) -> PyResult<()> {
    if !matches!(this.get().state(), State::Wrapped | State::Flushing) {
        return Ok(());
    }
    let outcome = read_and_write(this, scratch);
    or_fatal(this, outcome)
}

fn read_and_write(this: &This<'_>, scratch: Option<Scratch>) -> PyResult<()> {
    let engine = this.get();
    if !engine.flag(Flag::AppReadingPaused).get() {
        if engine.flag(Flag::IsBuffered).get() {
            drop(scratch);
            read_into(this)?;
        } else {
            let scratch = scratch.map_or_else(|| Scratch::take(this.py()), Ok)?;
            read_copied(this, scratch)?;
        }
        if engine.object(this.py(), Object::Backlog)?.is_empty()? {
            writing::process_outgoing(this)?;
        } else {
            writing::do_write(this)?;
        }
    }
    control(this)
}

/// Whether OpenSSL may have more to give. If it has nothing decrypted, and has seen everything that
/// came, the next call could only say so by an exception.
fn may_have_more(this: &This<'_>) -> PyResult<bool> {
    let (py, engine) = (this.py(), this.get());
    if engine.pending(py, Object::Incoming)? > 0 {
        return Ok(true);
    }
    let pending = engine.method(py, |calls| &calls.pending)?.call0()?;
    Ok(pending.extract::<usize>()? > 0)
}

/// The outcome of one call of `read`: the number of bytes; `None` if more data has to come first.
fn attempt(this: &This<'_>, count: PyResult<Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    match count {
        Ok(count) => count.extract().map(Some),
        Err(error) if stock(this.py())?.is_again(this.py(), &error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// For a Protocol: everything that is there, in one piece.
fn read_copied(this: &This<'_>, mut scratch: Scratch) -> PyResult<()> {
    let py = this.py();
    let read = this.get().method(py, |calls| &calls.read)?;
    let most = to_int(py, SIZE)?;
    let mut filled = 0;
    let is_end = loop {
        scratch.reserve_record(filled)?;
        let room = filled..scratch.len();
        let count = scratch.lend(py, room, |memory| {
            let count = read.call1((&most, memory));
            attempt(this, count)
        })?;
        match count {
            None => break false,
            Some(0) => break true,
            Some(count) => filled += count,
        }
        if !may_have_more(this)? {
            break false;
        }
    };
    if filled > 0 {
        deliver(this, scratch, filled)?;
    } else {
        drop(scratch);
    }
    if is_end { closed_by_peer(this) } else { Ok(()) }
}

fn deliver(this: &This<'_>, scratch: Scratch, count: usize) -> PyResult<()> {
    let py = this.py();
    let protocol = this.get().object(py, Object::AppProtocol)?;
    if this.get().is_for_streams()
        && let Some(reader) = Reader::of(&protocol)?
    {
        reader.append(scratch.filled(count))?;
        drop(scratch);
        return reader.data_has_come();
    }
    let data = to_bytes(py, scratch.filled(count))?;
    drop(scratch);
    protocol.call_method1(intern!(py, "data_received"), (data,)).map(drop)
}

/// For a BufferedProtocol: into the memory that the protocol gives, until that is full.
fn read_into(this: &This<'_>) -> PyResult<()> {
    let (py, engine) = (this.py(), this.get());
    let waiting = to_int(py, engine.pending(py, Object::Incoming)?)?;
    let buffer = this.call_method1(intern!(py, "_app_protocol_get_buffer"), (waiting,))?;
    let wanted = buffer.len()?;
    let read = engine.method(py, |calls| &calls.read)?;
    let mut filled = 0;
    let is_end = loop {
        let room = if filled == 0 {
            buffer.clone()
        } else {
            buffer.get_item(PySlice::new(py, filled as isize, wanted as isize, 1))?
        };
        match attempt(this, read.call1((to_int(py, wanted - filled)?, room)))? {
            None => break false,
            Some(0) => break true,
            Some(count) => filled += count,
        }
        if filled >= wanted {
            // More may be there, but there is no room for it now.
            let again = this.getattr(intern!(py, "_do_read"))?;
            this.getattr(intern!(py, "_loop"))?.call_method1(intern!(py, "call_soon"), (again,))?;
            break false;
        }
        if !may_have_more(this)? {
            break false;
        }
    };
    drop(buffer);
    if filled > 0 {
        let count = to_int(py, filled)?;
        this.call_method1(intern!(py, "_app_protocol_buffer_updated"), (count,))?;
    }
    if is_end { closed_by_peer(this) } else { Ok(()) }
}

/// The peer has said that it will send nothing more.
fn closed_by_peer(this: &This<'_>) -> PyResult<()> {
    this.call_method0(intern!(this.py(), "_call_eof_received"))?;
    this.call_method0(intern!(this.py(), "_start_shutdown")).map(drop)
}

/// Pauses the transport if too much waits to be decrypted, or lets it go on.
pub fn control(this: &This<'_>) -> PyResult<()> {
    let (py, engine) = (this.py(), this.get());
    let size = engine.pending(py, Object::Incoming)? as f64;
    let is_paused = engine.flag(Flag::SslReadingPaused);
    let step = if size >= engine.mark(Object::IncomingHigh).get() && !is_paused.get() {
        intern!(py, "pause_reading")
    } else if size <= engine.mark(Object::IncomingLow).get() && is_paused.get() {
        intern!(py, "resume_reading")
    } else {
        return Ok(());
    };
    is_paused.set(!is_paused.get());
    engine.object(py, Object::Transport)?.call_method0(step).map(drop)
}
