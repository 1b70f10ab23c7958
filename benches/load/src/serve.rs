//! The `serve` mode: an echo server with nothing between it and epoll.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use crate::Outcome;
use crate::address::Address;
use crate::args::Args;
use crate::epoll::{Epoll, Interest};

/// One read of this size takes the whole of the largest payload.
const SCRATCH: usize = 256 * 1024;

/// Runs the mode until stdin closes; the line on stdout says where it listens.
pub fn run(args: &mut Args) -> Outcome<()> {
    let address = args.required("listen")?;
    args.finish()?;
    let Address::Tcp(address) = address else { return Err("serve knows tcp alone".into()) };

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("{{\"listening\": \"{}\"}}", Address::Tcp(listener.local_addr()?));
    Server::new(listener)?.serve()
}

struct Server {
    epoll: Epoll,
    listener: TcpListener,
    /// By fd, which is also the key in the epoll set: fds are small and the kernel reuses them.
    clients: Vec<Option<Client>>,
    scratch: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// What the socket would not take yet; nothing more is read meanwhile.
    unsent: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new()?, listener, clients: Vec::new(), scratch: vec![0; SCRATCH] })
    }

    fn serve(&mut self) -> Outcome<()> {
        let stdin = key(io::stdin().as_raw_fd());
        let listener = key(self.listener.as_raw_fd());
        self.epoll.add(io::stdin().as_raw_fd(), stdin, Interest::Read)?;
        self.epoll.add(self.listener.as_raw_fd(), listener, Interest::Read)?;
        loop {
            let ready: Vec<usize> = self.epoll.wait(None)?.collect();
            for fd in ready {
                if fd == stdin {
                    return Ok(());
                } else if fd == listener {
                    self.accept()?;
                } else {
                    self.echo(fd);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let fd = key(stream.as_raw_fd());
        self.epoll.add(stream.as_raw_fd(), fd, Interest::Read)?;
        if self.clients.len() <= fd {
            self.clients.resize_with(fd + 1, || None);
        }
        self.clients[fd] = Some(Client { stream, unsent: Vec::new() });
        Ok(())
    }

    /// A client that fails or leaves is dropped, which closes its fd and takes it out of the epoll
    /// set.
    fn echo(&mut self, fd: usize) {
        let Some(client) = self.clients.get_mut(fd).and_then(Option::as_mut) else { return };
        if !matches!(client.echo(&self.epoll, &mut self.scratch), Ok(true)) {
            self.clients[fd] = None;
        }
    }
}

impl Client {
    /// One read and its write, or the rest of an earlier write; false when the peer has left.
    fn echo(&mut self, epoll: &Epoll, scratch: &mut [u8]) -> io::Result<bool> {
        if self.unsent.is_empty() {
            let count = self.stream.read(scratch)?;
            if count == 0 {
                return Ok(false);
            }
            let written = self.write(&scratch[..count])?;
            if written < count {
                self.unsent.extend_from_slice(&scratch[written..count]);
                self.watch(epoll, Interest::Write)?;
            }
        } else {
            let unsent = std::mem::take(&mut self.unsent);
            let written = self.write(&unsent)?;
            self.unsent.extend_from_slice(&unsent[written..]);
            if self.unsent.is_empty() {
                self.watch(epoll, Interest::Read)?;
            }
        }
        Ok(true)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.stream.write(data) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    fn watch(&self, epoll: &Epoll, interest: Interest) -> io::Result<()> {
        epoll.change(self.stream.as_raw_fd(), key(self.stream.as_raw_fd()), interest)
    }
}

fn key(fd: RawFd) -> usize {
    fd.unsigned_abs() as usize
}
