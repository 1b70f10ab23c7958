//! Makes the load of qtloop's benches, from outside the process that is measured.
//!
//! One thread and one epoll set, so that on a machine of two cores the server keeps a core of its
//! own. Every mode prints JSON, one object a line:
//!
//! - `echo` drives echo connections in lockstep and reports round trips, latency and the server's
//!   CPU time
//! - `idle` opens connections and holds them until stdin closes
//! - `serve` is a plain epoll echo server: the floor that a loop can at best come near
//! - `stamp` writes the time to stdout at intervals, to see how late a reader wakes

mod address;
mod args;
mod channel;
mod connection;
mod echo;
mod epoll;
mod idle;
mod serve;
mod stamp;
mod stats;
mod system;
mod talk;

use std::error::Error;
use std::process::ExitCode;

use args::Args;

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: qtloop-load echo  --connect ADDRESS [--connections N] [--size BYTES] [--seconds S] \
[--warmup S]
                         [--busy N] [--addresses N] [--server-pid PID] [--ca FILE]
                         [--request FILE --answer BYTES] [--opening FILE --opening-answer BYTES]
       qtloop-load idle  --connect ADDRESS --connections N [--addresses N] [--ca FILE]
       qtloop-load serve --listen ADDRESS
       qtloop-load stamp --count N --interval SECONDS

ADDRESS is tcp:IP:PORT, tls:IP:PORT, udp:IP:PORT or unix:PATH; only loopback addresses.
--addresses: the server listens on that address and on the N-1 that follow.
--request: what is sent in place of an echo, and how long the answer is.
--opening: what is sent and answered before on each connection.
--busy: so many connections have a round trip under way, all in their turns; without it all have.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("qtloop-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let mut args = Args::parse(words)?;
    system::raise_file_limit()?;
    match mode.as_str() {
        "echo" => echo::run(&mut args),
        "idle" => idle::run(&mut args),
        "serve" => serve::run(&mut args),
        "stamp" => stamp::run(&mut args),
        _ => Err(USAGE.into()),
    }
}
