//! The `idle` mode: open connections, hold them until stdin closes.

use std::io;
use std::path::PathBuf;

use crate::Outcome;
use crate::args::Args;
use crate::channel::Connector;

/// Runs the mode; the line on stdout says that the server knows every connection.
pub fn run(args: &mut Args) -> Outcome<()> {
    let address = args.required("connect")?;
    let count: usize = args.required("connections")?;
    let addresses = args.optional("addresses")?.unwrap_or(1);
    let ca: Option<PathBuf> = args.optional("ca")?;
    args.finish()?;

    let connector = Connector::new(address, addresses, ca.as_deref())?;
    let held = connector.connect_and_greet(count)?;
    println!("{{\"connections\": {}}}", held.len());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
