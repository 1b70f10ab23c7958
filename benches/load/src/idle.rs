//! The `idle` mode: open connections, hold them until stdin closes.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::Outcome;
use crate::args::Args;
use crate::channel::{Channel, Connector};

/// Runs the mode; the line on stdout says that the server knows every connection.
pub fn run(args: &mut Args) -> Outcome<()> {
    let address = args.required("connect")?;
    let count: usize = args.required("connections")?;
    let ca: Option<PathBuf> = args.optional("ca")?;
    args.finish()?;

    let connector = Connector::new(address, ca.as_deref())?;
    let held = (0..count).map(|_| open(&connector)).collect::<Outcome<Vec<_>>>()?;
    println!("{{\"connections\": {}}}", held.len());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// One byte there and back: a connection that only sits in the backlog has cost the server nothing
/// yet.
fn open(connector: &Connector) -> Outcome<Channel> {
    let mut channel = connector.connect()?;
    channel.write_all(b"x")?;
    channel.flush()?;
    channel.read_exact(&mut [0])?;
    Ok(channel)
}
