//! When a loop watches the fds that its tasks wait for, and when it does not.

use std::cell::RefCell;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};
use qtloop::core::{Fd, Interest, Time};
use qtloop::driver::Strategy;
use qtloop::host::sim::SimHost;
use qtloop::host::{EventSink, Exec, Host, HostError};
use qtloop::{EventLoop, Readiness, sleep, timeout};

#[test]
fn a_scripted_fd_becomes_ready_in_its_time() {
    let event_loop =
        EventLoop::with_strategy(SimHost::scripted(), Strategy::Notifier).expect("fds are left");
    // Its number only: nothing is ever written.
    let (reader, writer) = io::pipe().expect("fds are left");
    let times = [Time::from_secs(3.0), Time::from_secs(3600.0)];
    event_loop.host().script(times[0], reader.as_raw_fd(), Interest::READ);
    event_loop.host().script(times[1], writer.as_raw_fd(), Interest::WRITE);
    let seen = event_loop.block_on(async {
        let (reader, writer) = (Readiness::new(reader)?, Readiness::new(writer)?);
        let mut tries = 0;
        let read = async {
            reader
                .read_with(|_| {
                    tries += 1;
                    if tries == 2 {
                        Ok(event_loop.now())
                    } else {
                        Err(ErrorKind::WouldBlock.into())
                    }
                })
                .await
        };
        let write = async { writer.writable().await.map(|()| event_loop.now()) };
        let (read, write) = join(read, write).await;
        io::Result::Ok([read?, write?])
    });
    assert_eq!(seen.expect("the loop runs").expect("the fds are open"), times);
}

/// Keeps what the host is told to watch.
struct Recorded {
    sim: SimHost,
    watches: Watches,
}

type Watches = Rc<RefCell<Vec<(Fd, Interest)>>>;

fn recorded() -> (EventLoop<Recorded>, Watches) {
    let watches = Watches::default();
    let host = Recorded { sim: SimHost::with_real_fds(), watches: Rc::clone(&watches) };
    (EventLoop::with_strategy(host, Strategy::Notifier).expect("fds are left"), watches)
}

impl Host for Recorded {
    fn name(&self) -> &'static str {
        "recorded"
    }
    fn now(&self) -> Time {
        self.sim.now()
    }
    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        self.sim.start(sink)
    }
    fn stop(&self) {
        self.sim.stop();
    }
    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        self.sim.run(exec)
    }
    fn quit(&self) {
        self.sim.quit();
    }
    fn arm(&self) {
        self.sim.arm();
    }
    fn disarm(&self) {
        self.sim.disarm();
    }
    fn set_deadline(&self, deadline: Option<Time>) {
        self.sim.set_deadline(deadline);
    }
    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        self.watches.borrow_mut().push((fd, interest));
        self.sim.watch(fd, interest)
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri sends nothing through a pair of sockets")]
fn a_watch_lasts_from_one_wait_to_the_next() {
    let (event_loop, watches) = recorded();
    let outcome = event_loop.block_on(async {
        let (one, other) = qtloop::net::UnixStream::pair()?;
        let echo = async { futures::io::copy(&other, &mut &other).await.map(drop) };
        let ping = async {
            let (mut one, mut buffer) = (one, [0; 4]);
            for _ in 0..100 {
                one.write_all(b"ping").await?;
                one.read_exact(&mut buffer).await?;
            }
            one.close().await
        };
        let (echoed, pinged) = join(echo, ping).await;
        echoed.and(pinged)
    });
    outcome.expect("the loop runs").expect("the sockets are open");
    assert!(watches.borrow().len() < 20, "in 100 rounds the host is told {:?}", watches.borrow());
}

#[test]
fn an_fd_that_nobody_waits_for_is_watched_no_more() {
    let (event_loop, _watches) = recorded();
    let outcome = event_loop.block_on(async {
        let (reader, mut writer) = io::pipe().expect("fds are left");
        let reader = Readiness::new(reader).expect("the pipe is open");
        timeout(Duration::from_secs(1), reader.readable()).await.expect_err("nothing has come");
        writer.write_all(b"x").expect("there is room");
        let items = event_loop.counters().items;
        // The clock moves only when the fd is reported no more.
        sleep(Duration::from_secs(1)).await;
        assert!(event_loop.counters().items - items < 5);
        (reader.get_ref()).read_exact(&mut [0]).expect("a byte");
        let next = async { writer.write_all(b"y").expect("there is room") };
        join(reader.readable(), next).await.0.expect("it is watched again");
    });
    outcome.expect("the loop runs");
}

/// Tells when it is closed, as if that were another watch, for both directions.
struct Watched {
    pipe: PipeReader,
    watches: Watches,
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watches.borrow_mut().push((self.pipe.as_raw_fd(), Interest::BOTH));
    }
}

#[test]
fn a_watch_ends_before_the_fd_is_closed() {
    let (event_loop, watches) = recorded();
    let outcome = event_loop.block_on(async {
        for close in [drop, |reader: Readiness<Watched>| drop(reader.into_inner())] {
            let (pipe, _writer) = io::pipe().expect("fds are left");
            let fd = pipe.as_raw_fd();
            let reader = Readiness::new(Watched { pipe, watches: Rc::clone(&watches) })
                .expect("the pipe is open");
            watches.borrow_mut().clear();
            timeout(Duration::from_secs(1), reader.readable()).await.expect_err("nothing has come");
            close(reader);
            let closed = (fd, Interest::BOTH);
            assert_eq!(watches.borrow()[..], [(fd, Interest::READ), (fd, Interest::NONE), closed]);
        }
    });
    outcome.expect("the loop runs");
}
