//! Tests of the poller, for every system.

use std::io;
use std::os::fd::AsRawFd;

use super::Poller;
use crate::core::{Direction, Fd, Interest};

/// The fds that one look finds. A system may report both directions of an fd one after the other.
pub fn look(poller: &mut Poller) -> Vec<(Fd, Interest)> {
    let mut seen: Vec<(Fd, Interest)> = Vec::new();
    poller.look(|fd, ready| match seen.iter_mut().find(|(other, _)| *other == fd) {
        Some((_, before)) => *before = *before | ready,
        None => seen.push((fd, ready)),
    });
    seen
}

#[test]
fn reports_what_is_ready_for_as_long_as_it_is() -> io::Result<()> {
    let (reader, writer) = rustix::pipe::pipe()?;
    let mut poller = Poller::new()?;
    let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
    poller.change(r, Interest::NONE, Interest::READ)?;
    assert_eq!(look(&mut poller), []);
    rustix::io::write(&writer, b"x")?;
    assert_eq!(look(&mut poller), [(r, Interest::READ)]);
    assert_eq!(look(&mut poller), [(r, Interest::READ)]);
    poller.change(r, Interest::NONE, Interest::NONE)?;
    poller.change(w, Interest::NONE, Interest::WRITE)?;
    assert_eq!(look(&mut poller), [(w, Interest::WRITE)]);
    drop(reader);
    let [(fd, ready)] = look(&mut poller)[..] else { panic!("one event") };
    assert!(fd == w && ready.has(Direction::Write), "a hang-up counts as readiness");
    Ok(())
}

#[test]
fn a_closed_fd_is_refused() -> io::Result<()> {
    let (reader, _writer) = rustix::pipe::pipe()?;
    let mut poller = Poller::new()?;
    let fd = reader.as_raw_fd();
    poller.change(fd, Interest::NONE, Interest::READ)?;
    drop(reader);
    assert!(poller.change(1_000_000_000, Interest::NONE, Interest::READ).is_err());
    assert!(poller.change(-1, Interest::NONE, Interest::READ).is_err());
    poller.change(fd, Interest::NONE, Interest::NONE).map(drop)
}

#[test]
#[cfg_attr(qtloop_libkqueue, ignore = "libkqueue is not told that a number was closed")]
fn a_successor_is_watched_for_nothing_that_its_predecessor_was() -> io::Result<()> {
    let mut poller = Poller::new()?;
    let (mut number, _peer) = socketpair()?;
    let fd = number.as_raw_fd();
    poller.change(fd, Interest::NONE, Interest::BOTH)?;
    let (other, _other_peer) = socketpair()?;
    rustix::io::dup2(&other, &mut number)?;
    assert!(
        !poller.change(fd, Interest::WRITE, Interest::NONE)?,
        "one watch of the predecessor's ends"
    );
    assert_eq!(look(&mut poller), []);
    assert!(!poller.change(fd, Interest::WRITE, Interest::READ)?, "the successor is watched");
    assert_eq!(look(&mut poller), [], "it could be written");
    assert!(poller.change(fd, Interest::READ, Interest::WRITE)?);
    assert_eq!(look(&mut poller), [(fd, Interest::WRITE)]);
    Ok(())
}

#[test]
fn an_expected_fd_is_reported_once_each_time_it_becomes_ready() -> io::Result<()> {
    let (reader, writer) = rustix::pipe::pipe()?;
    let (mut poller, fd) = (Poller::new()?, reader.as_raw_fd());
    poller.expect(fd, Interest::READ)?;
    assert_eq!(look(&mut poller), []);
    for _ in 0..2 {
        rustix::io::write(&writer, b"x")?;
        assert_eq!(look(&mut poller), [(fd, Interest::READ)]);
        assert_eq!(look(&mut poller), []);
    }
    poller.expect(fd, Interest::READ)?;
    assert_eq!(look(&mut poller), [(fd, Interest::READ)], "it is ready now");
    poller.change(fd, Interest::NONE, Interest::READ)?;
    assert_eq!(look(&mut poller), [(fd, Interest::READ)]);
    assert_eq!(look(&mut poller), [(fd, Interest::READ)], "watched, no longer only expected");
    Ok(())
}

fn socketpair() -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    let (left, right) = std::os::unix::net::UnixStream::pair()?;
    Ok((left.into(), right.into()))
}
