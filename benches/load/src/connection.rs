//! One connection in lockstep: send the request, take the answer, start again.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::channel::Channel;
use crate::epoll::Interest;

/// A round trip under way.
pub struct Connection {
    channel: Channel,
    sent: usize,
    received: usize,
    /// How many bytes the answer to a request has.
    answer: usize,
    started: Instant,
}

impl Connection {
    /// Takes over a connected channel for requests of `request` bytes with answers of `answer`
    /// bytes, none of which is under way.
    pub fn new(channel: Channel, request: usize, answer: usize) -> io::Result<Self> {
        channel.set_nonblocking()?;
        Ok(Self { channel, sent: request, received: answer, answer, started: Instant::now() })
    }

    /// Begins a round trip.
    pub fn start(&mut self, payload: &[u8]) -> io::Result<()> {
        self.sent = 0;
        self.received = 0;
        self.started = Instant::now();
        self.send(payload)
    }

    /// Moves on as far as the socket lets it; the time of the round trip if that ended it.
    pub fn advance(&mut self, payload: &[u8], scratch: &mut [u8]) -> io::Result<Option<Duration>> {
        // The late answer to a datagram that was taken for lost ends nothing twice.
        let had_ended = self.has_ended();
        self.send(payload)?;
        self.receive(scratch)?;
        Ok((!had_ended && self.has_ended()).then(|| self.started.elapsed()))
    }

    /// Whether the answer is there.
    pub fn has_ended(&self) -> bool {
        self.received >= self.answer
    }

    /// What has to happen on the fd before `advance` can do more.
    pub fn interest(&self, payload: &[u8]) -> Interest {
        if self.sent < payload.len() || self.channel.holds_output() {
            Interest::Both
        } else {
            Interest::Read
        }
    }

    /// How long this round trip has lasted.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether a lost payload is nobody's fault and may be sent again.
    pub fn may_lose(&self) -> bool {
        matches!(self.channel, Channel::Udp(_))
    }

    fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.channel.holds_output() {
            would_block_is_zero(self.channel.flush().map(|()| 0))?;
        }
        if self.sent < payload.len() {
            self.sent += would_block_is_zero(self.channel.write(&payload[self.sent..]))?;
        }
        Ok(())
    }

    /// One read: epoll is level-triggered and says so if there is more, and a TLS read empties its
    /// session because `scratch` is larger than what the session buffers.
    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        match self.channel.read(scratch) {
            Ok(0) => {
                Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"))
            }
            result => {
                self.received += would_block_is_zero(result)?;
                Ok(())
            }
        }
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.channel.as_raw_fd()
    }
}

fn would_block_is_zero(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
