//! Where transports and `sock_recv` read to, before the size of what came is known.

use std::cell::RefCell;

use pyo3::prelude::*;

use super::class::buffer::no_memory;

/// The most that a transport reads at once: asyncio's.
pub const SIZE: usize = 256 * 1024;

/// Memory that all who read for one loop share. It is allocated when something is read for the
/// first time.
#[derive(Default)]
pub struct ReadBuffer(RefCell<Vec<u8>>);

impl ReadBuffer {
    /// Lends the memory: [`SIZE`] bytes. No Python code may run meanwhile.
    ///
    /// # Errors
    /// `MemoryError` if there is none.
    pub fn lend<R>(&self, read: impl FnOnce(&mut [u8]) -> R) -> PyResult<R> {
        let mut memory = self.0.borrow_mut();
        if memory.is_empty() {
            memory.try_reserve_exact(SIZE).map_err(no_memory)?;
            memory.resize(SIZE, 0);
        }
        Ok(read(&mut memory))
    }
}
