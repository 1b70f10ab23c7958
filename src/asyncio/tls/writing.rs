//! From the program to the peer: data is encrypted and given to the transport.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice};

use super::engine::{This, or_fatal};
use super::names::{Flag, Object};
use super::scratch::take_in_pieces;
use super::stock::{State, stock};
use super::stream;
use crate::asyncio::class::buffer::View;
use crate::asyncio::errors::is_fatal;

/// Writes data, which must not be empty and must be bytes-like.
///
/// # Errors
/// What the stock class raises.
pub fn write(this: &This<'_>, data: &Bound<'_, PyAny>, len: usize) -> PyResult<()> {
    let engine = this.get();
    if engine.state() != State::Wrapped {
        return write_all(this, (data,).into_pyobject(this.py())?.as_any());
    }
    let outcome = if engine.object(this.py(), Object::Backlog)?.is_empty()? {
        count(this, len);
        encrypt(this, data, len, Waits::Nowhere).and_then(|_| process_outgoing(this))
    } else {
        append(this, data).and_then(|()| do_write(this))
    };
    or_fatal(this, outcome)
}

/// Writes the items of an iterable.
///
/// # Errors
/// What the stock class raises.
pub fn write_all(this: &This<'_>, list: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let state = this.get().state();
    if matches!(state, State::Flushing | State::Shutdown | State::Unwrapped) {
        // It is written in vain. The stock class counts that, and warns.
        let stock = stock(py)?.protocol.bind(py);
        return stock.call_method1(intern!(py, "_write_appdata"), (this, list)).map(drop);
    }
    for data in list.try_iter()? {
        append(this, &data?)?;
    }
    if this.get().state() != State::Wrapped {
        return Ok(());
    }
    let outcome = do_write(this);
    or_fatal(this, outcome)
}

fn append(this: &This<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    this.get().object(py, Object::Backlog)?.call_method1(intern!(py, "append"), (data,))?;
    count(this, data.len()?);
    Ok(())
}

/// Counts data that waits to be encrypted.
fn count(this: &This<'_>, len: usize) {
    let size = &this.get().backlog_size;
    size.set(size.get().wrapping_add_unsigned(len));
}

/// Counts data that waits no longer.
fn discount(this: &This<'_>, len: usize) {
    let size = &this.get().backlog_size;
    size.set(size.get().wrapping_sub_unsigned(len));
}

/// Where the data is while it is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nowhere,
    /// In the backlog, as its first item.
    First,
}

/// Encrypts data whose length was counted. Returns whether everything was encrypted. If not, the
/// rest waits in the backlog.
fn encrypt(this: &This<'_>, data: &Bound<'_, PyAny>, len: usize, waits: Waits) -> PyResult<bool> {
    let py = this.py();
    let write = this.get().method(py, |calls| &calls.write)?;
    let (taken, outcome) = match write.call1((data,)).and_then(|taken| taken.extract()) {
        Ok(taken) if taken >= len => (len, Ok(())),
        Ok(taken) => encrypt_rest(data, &write, taken, len),
        Err(error) => (0, Err(error)),
    };
    discount(this, taken);
    let backlog = this.get().object(py, Object::Backlog)?;
    if outcome.is_ok() {
        if waits == Waits::First {
            backlog.call_method0(intern!(py, "popleft"))?;
        }
        return Ok(true);
    }
    let rest = if taken == 0 {
        data.clone()
    } else {
        data.get_item(PySlice::new(py, taken as isize, len as isize, 1))?
    };
    match waits {
        Waits::First => backlog.set_item(0, rest)?,
        Waits::Nowhere => drop(backlog.call_method1(intern!(py, "appendleft"), (rest,))?),
    }
    match outcome {
        Err(error) if !stock(py)?.is_again(py, &error) => Err(error),
        _ => Ok(false),
    }
}

/// One call takes one record. The next calls follow without a copy of the rest.
fn encrypt_rest(
    data: &Bound<'_, PyAny>,
    write: &Bound<'_, PyAny>,
    taken: usize,
    len: usize,
) -> (usize, PyResult<()>) {
    let view = match View::readable(data) {
        Ok(view) => view,
        Err(error) => return (taken, Err(error)),
    };
    let rest = view.as_slice().get(taken..).unwrap_or_default();
    let (more, outcome) = take_in_pieces(data.py(), rest, |piece| write.call1((piece,))?.extract());
    (if outcome.is_ok() { len } else { (taken + more).min(len) }, outcome)
}

/// Encrypts what waits, and writes it to the transport.
///
/// # Errors
/// OpenSSL's, and what the transport raises.
pub fn do_write(this: &This<'_>) -> PyResult<()> {
    let backlog = this.get().object(this.py(), Object::Backlog)?;
    while !backlog.is_empty()? {
        let data = backlog.get_item(0)?;
        let len = data.len()?;
        if !encrypt(this, &data, len, Waits::First)? {
            break;
        }
    }
    process_outgoing(this)
}

/// Gives the transport what is encrypted, unless the transport has enough.
///
/// # Errors
/// What the transport raises.
pub fn process_outgoing(this: &This<'_>) -> PyResult<()> {
    let (py, engine) = (this.py(), this.get());
    let mut pending = engine.pending(py, Object::Outgoing)?;
    if pending > 0 && !engine.flag(Flag::SslWritingPaused).get() {
        let data = engine.method(py, |calls| &calls.take_out)?.call0()?;
        let transport = engine.object(py, Object::Transport)?;
        if engine.is_direct() {
            stream::write(&transport, &data)?;
        } else {
            transport.call_method1(intern!(py, "write"), (data,))?;
        }
        // The transport may have called the protocol, and that may have written more.
        pending = engine.pending(py, Object::Outgoing)?;
    }
    control(this, Some(pending))
}

/// How many bytes wait to be written, encrypted or not.
pub fn size(this: &This<'_>) -> PyResult<isize> {
    let pending = this.get().pending(this.py(), Object::Outgoing)?;
    Ok(this.get().backlog_size.get().wrapping_add_unsigned(pending))
}

/// Tells the program to stop writing if too much waits, or to go on. `pending` is how much is
/// encrypted, if that is known.
pub fn control(this: &This<'_>, pending: Option<usize>) -> PyResult<()> {
    let (py, engine) = (this.py(), this.get());
    let pending = pending.map_or_else(|| engine.pending(py, Object::Outgoing), Ok)?;
    let size = engine.backlog_size.get().wrapping_add_unsigned(pending) as f64;
    let is_paused = engine.flag(Flag::AppWritingPaused);
    let step = if size >= engine.mark(Object::OutgoingHigh).get() && !is_paused.get() {
        intern!(py, "pause_writing")
    } else if size <= engine.mark(Object::OutgoingLow).get() && is_paused.get() {
        intern!(py, "resume_writing")
    } else {
        return Ok(());
    };
    is_paused.set(!is_paused.get());
    let told = engine.object(py, Object::AppProtocol).and_then(|app| app.call_method0(step));
    match told {
        Ok(_) => Ok(()),
        Err(error) if is_fatal(py, &error) => Err(error),
        Err(error) => this.call_method1(intern!(py, "_report"), (step, error)).map(drop),
    }
}

/// The data as single bytes, if its items are larger. The stock class loses a part of such data.
pub fn in_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    if data.is_exact_instance_of::<PyBytes>() {
        return Ok(data.clone());
    }
    let is_plain = match data.getattr_opt(intern!(py, "itemsize"))? {
        Some(size) => {
            size.extract::<usize>()? == 1 && data.getattr("ndim")?.extract::<usize>()? == 1
        }
        None => true,
    };
    if is_plain { Ok(data.clone()) } else { data.call_method0(intern!(py, "tobytes")) }
}
