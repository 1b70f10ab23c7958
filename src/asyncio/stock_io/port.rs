//! A completion port, as the thread sees it that waits for its packets.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

/// How many packets are taken at once.
const ROOM: usize = 64;

/// What has been completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The system's error code; 0 for none.
    pub error: u32,
    /// How many bytes were transferred.
    pub transferred: u32,
    /// What the handle was registered with.
    pub key: usize,
    /// Where the `OVERLAPPED` of the operation is. To be compared, not to be read.
    pub address: usize,
}

/// A handle of our own to somebody's completion port: it stays open when his is closed.
#[derive(Debug)]
pub struct Port(usize);

impl Port {
    /// A handle to the port that `handle` is one of.
    ///
    /// # Errors
    /// The system call's: it may be no handle.
    pub fn of(handle: usize) -> io::Result<Port> {
        let mut own = 0;
        // SAFETY: the call writes to the number that it is given, and keeps no pointer to it. A
        // number that names nothing is refused.
        let done = unsafe {
            let process = GetCurrentProcess();
            DuplicateHandle(process, handle, process, &raw mut own, 0, 0, SAME_ACCESS)
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Port(own)) }
    }

    /// Waits for packets and hands them to `take`; none of them is an interruption.
    ///
    /// # Errors
    /// The system call's.
    pub fn wait(&self, mut take: impl FnMut(Packet)) -> io::Result<()> {
        let mut entries = [Entry::default(); ROOM];
        let mut count = 0;
        // SAFETY: the handle is open. The call writes as many entries as there is room for, and
        // their count, and keeps no pointer to them.
        let done = unsafe {
            GetQueuedCompletionStatusEx(
                self.0,
                entries.as_mut_ptr(),
                ROOM as u32,
                &raw mut count,
                FOREVER,
                0,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        for entry in entries.iter().take(count as usize).filter(|entry| !entry.overlapped.is_null())
        {
            // SAFETY: a computation with a number.
            let error = unsafe { RtlNtStatusToDosError(entry.status as u32) };
            take(Packet {
                error,
                transferred: entry.transferred,
                key: entry.key,
                address: entry.overlapped as usize,
            });
        }
        Ok(())
    }

    /// Ends the wait of another thread.
    pub fn interrupt(&self) {
        // SAFETY: the handle is open. No operation is behind the packet.
        unsafe { PostQueuedCompletionStatus(self.0, 0, 0, ptr::null_mut()) };
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and nobody uses it any more.
        unsafe { CloseHandle(self.0) };
    }
}

/// `OVERLAPPED_ENTRY`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    key: usize,
    overlapped: *mut c_void,
    status: usize,
    transferred: u32,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry { key: 0, overlapped: ptr::null_mut(), status: 0, transferred: 0 }
    }
}

/// `DUPLICATE_SAME_ACCESS`.
const SAME_ACCESS: u32 = 2;
/// `INFINITE`.
const FOREVER: u32 = u32::MAX;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetCurrentProcess() -> usize;
    fn DuplicateHandle(
        source_process: usize,
        source: usize,
        target_process: usize,
        target: *mut usize,
        access: u32,
        inherit: c_int,
        options: u32,
    ) -> c_int;
    fn CloseHandle(handle: usize) -> c_int;
    fn GetQueuedCompletionStatusEx(
        port: usize,
        entries: *mut Entry,
        room: u32,
        count: *mut u32,
        milliseconds: u32,
        alertable: c_int,
    ) -> c_int;
    fn PostQueuedCompletionStatus(
        port: usize,
        transferred: u32,
        key: usize,
        overlapped: *mut c_void,
    ) -> c_int;
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn RtlNtStatusToDosError(status: u32) -> u32;
}
