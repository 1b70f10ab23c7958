//! The memory that transports and `sock_recv` read into, while the size of what comes is not known.

use std::cell::RefCell;

use pyo3::prelude::*;

use super::class::buffer::no_memory;

/// The most that a transport reads at once, as in asyncio.
pub const SIZE: usize = 256 * 1024;

/// Memory that all reads of one loop share. It is allocated at the first read.
#[derive(Default)]
pub struct ReadBuffer(RefCell<Vec<u8>>);

impl ReadBuffer {
    /// Lends the memory: [`SIZE`] bytes. `read` must not run Python code.
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
