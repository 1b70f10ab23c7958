//! Where to connect: `tcp:IP:PORT`, `tls:IP:PORT`, `udp:IP:PORT` or `unix:PATH`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address on this machine.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Tls(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').ok_or_else(|| format!("no kind in {text:?}"))?;
        match kind {
            "tcp" => loopback(rest).map(Self::Tcp),
            "tls" => loopback(rest).map(Self::Tls),
            "udp" => loopback(rest).map(Self::Udp),
            "unix" => Ok(Self::Unix(rest.into())),
            _ => Err(format!("unknown kind of address: {kind}")),
        }
    }
}

/// A load generator has no business on other machines.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("not IP:PORT: {text:?}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("not a loopback address: {address}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "tcp:{address}"),
            Self::Tls(address) => write!(out, "tls:{address}"),
            Self::Udp(address) => write!(out, "udp:{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}
