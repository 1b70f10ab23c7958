//! The `echo` mode: all connections in lockstep with the server, measured between warm-up and the
//! end.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::address::Address;
use crate::args::Args;
use crate::channel::Connector;
use crate::connection::Connection;
use crate::epoll::{Epoll, Interest};
use crate::stats::{self, Latencies};
use crate::system::Process;
use crate::talk::Talk;

/// A datagram without an answer for this long counts as lost and is sent again.
const LOST: Duration = Duration::from_millis(200);
/// A server silent for this long is broken, and saying so beats waiting.
const STALLED: Duration = Duration::from_secs(10);
/// How often lost datagrams and stalled servers are looked for.
const PATROL: Duration = Duration::from_millis(50);
/// Larger than whatever a TLS session holds back, see `Connection::receive`.
const SCRATCH: usize = 256 * 1024;

/// Runs the mode: connects, warms up, measures, lets every round trip end, reports.
pub fn run(args: &mut Args) -> Outcome<()> {
    let address: Address = args.required("connect")?;
    let connections: usize = args.optional("connections")?.unwrap_or(1);
    let talk = Talk::new(args)?;
    let seconds = Duration::try_from_secs_f64(args.optional("seconds")?.unwrap_or(1.0))?;
    let warmup = Duration::try_from_secs_f64(args.optional("warmup")?.unwrap_or(0.2))?;
    let server = args.optional("server-pid")?.map(Process::new).transpose()?;
    let busy = args.optional("busy")?.unwrap_or(connections).min(connections);
    let addresses = args.optional("addresses")?.unwrap_or(1);
    let ca: Option<PathBuf> = args.optional("ca")?;
    args.finish()?;

    let connector = Connector::new(address, addresses, ca.as_deref())?;
    let mut load = Load::open(&connector, connections, busy, talk)?;
    load.run_for(warmup)?;
    load.latencies.clear();
    load.lost = 0;

    let before = server.as_ref().map(Process::usage).transpose()?;
    let begun = Instant::now();
    load.run_for(seconds)?;
    let elapsed = begun.elapsed();
    let after = server.as_ref().map(Process::usage).transpose()?;

    let usage = before.zip(after).map(|(before, after)| after.since(before));
    println!("{}", stats::report(&mut load.latencies, elapsed, usage, load.lost));
    load.wind_down()
}

struct Load {
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Those without a round trip under way; the first is the next to begin one.
    idle: VecDeque<usize>,
    /// What each connection is watched for now, to spare a system call where nothing changes.
    interests: Vec<Interest>,
    payload: Vec<u8>,
    scratch: Vec<u8>,
    latencies: Latencies,
    lost: u64,
    /// False once the end is near: round trips end but none begins.
    open: bool,
    in_flight: usize,
    patrolled: Instant,
    progressed: Instant,
}

impl Load {
    fn open(connector: &Connector, count: usize, busy: usize, talk: Talk) -> Outcome<Self> {
        let mut load = Self {
            epoll: Epoll::new()?,
            connections: Vec::with_capacity(count),
            idle: (0..count).collect(),
            interests: vec![Interest::Read; count],
            payload: talk.request,
            scratch: vec![0; SCRATCH],
            latencies: Latencies::default(),
            lost: 0,
            open: true,
            in_flight: busy,
            patrolled: Instant::now(),
            progressed: Instant::now(),
        };
        // The server is to know also those whose turn has not come.
        let channels = if busy < count {
            connector.connect_and_greet(count)?
        } else {
            (0..count).map(|n| connector.connect(n)).collect::<Outcome<Vec<_>>>()?
        };
        for (key, mut channel) in channels.into_iter().enumerate() {
            talk.opening.hold(&mut channel)?;
            let connection = Connection::new(channel, load.payload.len(), talk.answer)?;
            load.epoll.add(connection.as_raw_fd(), key, Interest::Read)?;
            load.connections.push(connection);
        }
        (0..busy).try_for_each(|_| load.start_next())?;
        // Since the first of them was opened much time may have passed.
        load.progressed = Instant::now();
        Ok(load)
    }

    fn run_for(&mut self, time: Duration) -> Outcome<()> {
        let end = Instant::now() + time;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.turn(now)?;
        }
    }

    /// Lets the round trips under way end, so that no server sees a reset with data in flight.
    fn wind_down(&mut self) -> Outcome<()> {
        self.open = false;
        while self.in_flight > 0 {
            self.turn(Instant::now())?;
        }
        Ok(())
    }

    fn turn(&mut self, now: Instant) -> Outcome<()> {
        let ready: Vec<usize> = self.epoll.wait(Some(PATROL))?.collect();
        for key in ready {
            self.advance(key)?;
        }
        if now - self.patrolled >= PATROL {
            self.patrol(now)?;
        }
        Ok(())
    }

    fn advance(&mut self, key: usize) -> io::Result<()> {
        let connection = &mut self.connections[key];
        if let Some(time) = connection.advance(&self.payload, &mut self.scratch)? {
            self.latencies.record(time);
            self.idle.push_back(key);
            if self.open {
                self.start_next()?;
            } else {
                self.in_flight -= 1;
            }
        }
        self.watch(key)
    }

    /// Begins the round trip of the connection that has waited longest for one.
    fn start_next(&mut self) -> io::Result<()> {
        let Some(key) = self.idle.pop_front() else { return Ok(()) };
        self.connections[key].start(&self.payload)?;
        self.watch(key)
    }

    fn watch(&mut self, key: usize) -> io::Result<()> {
        let connection = &self.connections[key];
        let interest = connection.interest(&self.payload);
        if self.interests[key] != interest {
            self.epoll.change(connection.as_raw_fd(), key, interest)?;
            self.interests[key] = interest;
        }
        Ok(())
    }

    fn patrol(&mut self, now: Instant) -> Outcome<()> {
        self.patrolled = now;
        for connection in &mut self.connections {
            if connection.may_lose() && !connection.has_ended() && connection.age() > LOST {
                connection.start(&self.payload)?;
                self.lost += 1;
            }
        }
        if self.latencies.take_progress() {
            self.progressed = now;
        } else if now - self.progressed > STALLED {
            return Err(format!("no round trip ended within {} seconds", STALLED.as_secs()).into());
        }
        Ok(())
    }
}
