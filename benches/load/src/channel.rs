//! One connection to a server, whatever it goes over.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;
use crate::address::Address;

/// How many connections are opened before the server is waited for: as many as fit into a backlog.
const GROUP: usize = 64;

/// The name in the certificate of the server under test.
const SERVER_NAME: &str = "localhost";

/// Opens channels to one server.
pub struct Connector {
    address: Address,
    /// On how many IP addresses the server listens, this one and those that follow. A client has
    /// only so many ports for each.
    addresses: u32,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// `ca` is a PEM file with the certificate to trust, needed for `tls:` addresses alone.
    pub fn new(address: Address, addresses: u32, ca: Option<&Path>) -> Outcome<Self> {
        let tls = match (&address, ca) {
            (Address::Tls(_), Some(ca)) => Some(tls_config(ca)?),
            (Address::Tls(_), None) => return Err("tls needs --ca".into()),
            _ => None,
        };
        Ok(Self { address, addresses: addresses.max(1), tls })
    }

    /// The `n`th channel: connected, blocking.
    pub fn connect(&self, n: usize) -> Outcome<Channel> {
        Ok(match &self.address {
            Address::Tcp(address) => Channel::Tcp(tcp(self.nth(*address, n))?),
            Address::Tls(address) => Channel::Tls(self.tls(self.nth(*address, n))?),
            Address::Udp(address) => Channel::Udp(udp(*address)?),
            Address::Unix(path) => Channel::Unix(UnixStream::connect(path)?),
        })
    }

    /// So many channels, over each of which one byte has gone there and back: a connection that only
    /// sits in the backlog has cost the server nothing yet. In groups, since a change of process for
    /// each takes longer than all the rest.
    pub fn connect_and_greet(&self, count: usize) -> Outcome<Vec<Channel>> {
        let mut channels = Vec::with_capacity(count);
        while channels.len() < count {
            let first = channels.len();
            for n in first..count.min(first + GROUP) {
                let mut channel = self.connect(n)?;
                channel.write_all(b"x")?;
                channel.flush()?;
                channels.push(channel);
            }
            for channel in &mut channels[first..] {
                channel.read_exact(&mut [0])?;
            }
        }
        Ok(channels)
    }

    /// The addresses take turns.
    fn nth(&self, address: SocketAddr, n: usize) -> SocketAddr {
        let SocketAddr::V4(mut address) = address else { return address };
        let place = u32::try_from(n).unwrap_or(0) % self.addresses;
        address.set_ip(Ipv4Addr::from(u32::from(*address.ip()).wrapping_add(place)));
        address.into()
    }

    fn tls(&self, address: SocketAddr) -> Outcome<Box<TlsStream>> {
        let config = self.tls.clone().ok_or("no TLS configuration")?;
        let mut session = ClientConnection::new(config, ServerName::try_from(SERVER_NAME)?)?;
        // Room for any payload: how much is in flight is for the lockstep to decide, not for this
        // buffer.
        session.set_buffer_limit(None);
        let mut stream = StreamOwned::new(session, tcp(address)?);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Box::new(stream))
    }
}

fn tls_config(ca: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A connection to read from and write to.
pub enum Channel {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    Udp(UdpSocket),
    Unix(UnixStream),
}

impl Channel {
    /// From here on reads and writes fail with `WouldBlock` rather than wait.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Tls(stream) => stream.sock.set_nonblocking(true),
            Self::Udp(socket) => socket.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Whether a write that reported success still has bytes to send.
    pub fn holds_output(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.wants_write())
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.sock.as_raw_fd(),
            Self::Udp(socket) => socket.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Udp(socket) => socket.recv(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
            Self::Udp(socket) => socket.send(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}
