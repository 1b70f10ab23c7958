//! File descriptors as futures, on every loop.

use std::cell::Cell;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::loops::on_every_loop;
use crate::simulated::simulated;
use futures::future::{join, join_all};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use qtloop::driver::Strategy;
use qtloop::sys::Poller;
use qtloop::{Readiness, pipe, spawn_local, timeout, yield_now};

/// More than a pipe holds.
const MEGABYTE: usize = 1 << 20;

/// What comes out byte by byte. Miri needs a minute for each 100 000 bytes of a vector that grows.
const MUCH: usize = if cfg!(miri) { 1 << 12 } else { 2 * MEGABYTE };

/// A pipe whose reading end is awaited.
fn half_awaited() -> (Readiness<PipeReader>, PipeWriter) {
    let (reader, writer) = io::pipe().expect("fds are left");
    (Readiness::new(reader).expect("the pipe is open"), writer)
}

async fn read_one(io: &Readiness<PipeReader>) -> u8 {
    let read = |mut io: &PipeReader| {
        let mut byte = [0];
        io.read(&mut byte).map(|count| (count, byte[0]))
    };
    let (count, byte) = io.read_with(read).await.expect("the pipe is open");
    assert_eq!(count, 1);
    byte
}

/// Lets the others run until they all wait.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

/// What is written to `writer` comes out of `reader`, byte by byte, though it finds no room at
/// once.
async fn carries_much(mut writer: impl AsyncWrite + Unpin, mut reader: impl AsyncRead + Unpin) {
    // Each piece is as long as no page is.
    let sent = (0..251).collect::<Vec<u8>>().repeat(MUCH / 251);
    let write = async {
        writer.write_all(&sent).await.expect("there is a reader");
        writer.close().await.expect("there is a reader");
        drop(writer);
    };
    let mut received = Vec::new();
    let (_, count) = join(write, reader.read_to_end(&mut received)).await;
    assert_eq!(count.expect("there was a writer"), sent.len());
    assert!(received == sent);
}

#[test]
fn a_pipe_carries_much() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (sender, receiver) = pipe::pipe().expect("fds are left");
            carries_much(sender, receiver).await;
        });
        outcome.expect("the loop runs");
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri sends nothing through a pair of sockets")]
fn both_directions_at_once() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (one, other) = UnixStream::pair().expect("fds are left");
            let (one, other) =
                (Readiness::new(one).expect("open"), Readiness::new(other).expect("open"));
            let half = |from: &'static [u8]| from.repeat(MUCH / 40);
            let send =
                |to: Vec<u8>, mut io| async move { AsyncWriteExt::write_all(&mut io, &to).await };
            let receive = |count, mut io| async move {
                let mut received = vec![0; count];
                AsyncReadExt::read_exact(&mut io, &mut received).await.map(|()| received)
            };
            let (ping, pong) = (half(b"ping-ping-"), half(b"pong!"));
            let sent = join(send(ping.clone(), &one), send(pong.clone(), &other));
            let received = join(receive(ping.len(), &other), receive(pong.len(), &one));
            let (sent, (pinged, ponged)) = join(sent, received).await;
            assert!(sent.0.is_ok() && sent.1.is_ok());
            assert!(pinged.expect("all of it") == ping && ponged.expect("all of it") == pong);
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn several_pieces_in_one_call() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (mut sender, mut receiver) = pipe::pipe().expect("fds are left");
            let written =
                sender.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"two")]).await;
            assert_eq!(written.expect("there is room"), 6);
            let (first, rest) = (&mut [0; 2], &mut [0; 8]);
            let read =
                receiver.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(rest)]).await;
            assert_eq!(read.expect("it is there"), 6);
            assert_eq!((&first[..], &rest[..4]), (&b"on"[..], &b"etwo"[..]));
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn all_who_wait_are_woken() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (reader, mut writer) = half_awaited();
            let reader = Rc::new(reader);
            let tasks: Vec<_> = (0..5)
                .map(|nth| {
                    let reader = Rc::clone(&reader);
                    spawn_local(async move {
                        match nth % 2 {
                            0 => reader.readable().await,
                            _ => poll_fn(|cx| reader.poll_readable(cx)).await,
                        }
                    })
                })
                .collect();
            settle().await;
            assert!(!tasks.iter().any(|task| task.is_finished()));
            writer.write_all(b"x").expect("there is room");
            for outcome in join_all(tasks).await {
                outcome.expect("no panic").expect("it is readable");
            }
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn each_byte_finds_one_reader() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (reader, mut writer) = half_awaited();
            let readers = join_all((0..6).map(|_| read_one(&reader)));
            let write = async {
                for part in [&b"ab"[..], b"c", b"def"] {
                    settle().await;
                    writer.write_all(part).expect("there is room");
                }
            };
            let (mut bytes, ()) = join(readers, write).await;
            bytes.sort_unstable();
            assert_eq!(bytes, b"abcdef");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn the_end_of_a_stream() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (mut sender, mut receiver) = pipe::pipe().expect("fds are left");
            let (count, closed) = join(receiver.read(&mut [0; 8]), async {
                settle().await;
                sender.close().await
            })
            .await;
            assert_eq!((count.expect("an end is no error"), closed.is_ok()), (0, true));
            let closed = sender.write(b"x").await.expect_err("it is closed");
            assert_eq!(closed.kind(), ErrorKind::BrokenPipe);

            let (mut sender, receiver) = pipe::pipe().expect("fds are left");
            let (written, ()) = join(sender.write_all(&vec![0; MEGABYTE]), async {
                settle().await;
                drop(receiver);
            })
            .await;
            assert_eq!(written.expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn a_read_that_is_given_up_takes_nothing() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (mut reader, mut writer) = half_awaited();
            for nth in 0..3 {
                let moment = Duration::from_millis(10);
                timeout(moment, reader.read(&mut [0; 8])).await.expect_err("nothing has come");
                timeout(moment, read_one(&reader)).await.expect_err("nothing has come");
                let early = pin!(reader.readable()).poll(&mut Context::from_waker(Waker::noop()));
                assert!(early.is_pending());
                writer.write_all(&[nth, 7]).expect("there is room");
                reader.readable().await.expect("two bytes have come");
                assert_eq!(read_one(&reader).await, nth);
                reader.read_exact(&mut [0]).await.expect("the other byte");
            }
        });
        outcome.expect("the loop runs");
    });
}

struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing_behind() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (mut reader, _writer) = half_awaited();
            let idle = Arc::new(Idle);
            let waker = Waker::from(Arc::clone(&idle));
            let context = &mut Context::from_waker(&waker);
            for _ in 0..2 {
                assert!(pin!(reader.readable()).poll(context).is_pending());
                assert!(pin!(read_one(&reader)).poll(context).is_pending());
            }
            assert_eq!(Arc::strong_count(&idle), 2);
            for _ in 0..3 {
                assert!(reader.poll_readable(context).is_pending());
                assert!(pin!(reader.read(&mut [0])).poll(context).is_pending());
            }
            assert_eq!(Arc::strong_count(&idle), 3, "a task that polls is known");
            let other = Arc::new(Idle);
            let waker = Waker::from(Arc::clone(&other));
            assert!(
                pin!(reader.read(&mut [0])).poll(&mut Context::from_waker(&waker)).is_pending()
            );
            assert_eq!(Arc::strong_count(&idle), 2, "whoever has it all polls alone");
            drop(reader);
            assert_eq!(Arc::strong_count(&other), 2);
        });
        outcome.expect("the loop runs");
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri lets every file block")]
fn a_regular_file_is_never_waited_for() {
    on_every_loop(|event_loop, strategy| {
        let outcome = event_loop.block_on(async {
            let mut file = Readiness::new(File::open(file!()).expect("this file")).expect("open");
            let mut line = [0; 3];
            file.read_exact(&mut line).await.expect("it has that many bytes");
            assert_eq!(&line, b"//!");
            match strategy {
                Strategy::Set if Poller::NAME == "epoll" => {
                    let error = file.readable().await.expect_err("epoll refuses it");
                    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                }
                Strategy::Set | Strategy::Notifier => {
                    file.readable().await.expect("it is ready until its end");
                }
            }
        });
        outcome.expect("the loop runs");
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri lets every file block")]
fn what_is_always_ready_lets_others_run() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let mut zeros =
                Readiness::new(File::open("/dev/zero").expect("a device")).expect("open");
            let reader = spawn_local(async move { while zeros.read(&mut [0; 8]).await.is_ok() {} });
            let zeros = Readiness::new(File::open("/dev/zero").expect("a device")).expect("open");
            let other = spawn_local(async move {
                while zeros.read_with(|mut io| io.read(&mut [0; 8])).await.is_ok() {}
            });
            settle().await;
            assert!(!reader.is_finished() && !other.is_finished());
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn two_for_one_fd_take_turns() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (reader, mut writer) = io::pipe().expect("fds are left");
            let (one, two) =
                (Readiness::new(&reader).expect("open"), Readiness::new(&reader).expect("open"));
            let first = async {
                one.readable().await.expect("an open pipe");
                let nothing = (&reader).read(&mut [0]).expect_err("the other has taken the watch");
                assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
                writer.write_all(b"x").expect("there is room");
            };
            join(first, two.readable()).await.1.expect("an open pipe");
            one.readable().await.expect("an open pipe");
            assert_eq!((&reader).read(&mut [0]).expect("a byte"), 1);
            drop(two);
            writer.write_all(b"x").expect("there is room");
            one.readable().await.expect("an open pipe");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn the_next_user_of_an_fd_is_watched() {
    on_every_loop(|event_loop, _| {
        let (mut reader, writer) = io::pipe().expect("fds are left");
        for _ in 0..3 {
            let outcome = event_loop.block_on(async {
                let awaited = Readiness::new(reader).expect("open");
                let early = pin!(awaited.readable()).poll(&mut Context::from_waker(Waker::noop()));
                assert!(early.is_pending(), "from now on it is watched");
                let awaited = Readiness::new(awaited.into_inner()).expect("open");
                let waits = async { awaited.readable().await.expect("open") };
                let writes = async { (&writer).write_all(b"x").expect("there is room") };
                join(waits, writes).await;
                awaited.into_inner()
            });
            reader = outcome.expect("the loop runs");
            reader.read_exact(&mut [0]).expect("a byte");
        }
    });
}

#[test]
fn what_outlives_its_loop_says_so() {
    on_every_loop(|event_loop, _| {
        let sim = simulated();
        let (reader, _writer) = sim.block_on(async { half_awaited() }).expect("the loop runs");
        sim.block_on(async {
            timeout(Duration::from_secs(1), reader.readable()).await.expect_err("silence")
        })
        .expect("the loop runs");
        drop(sim);
        let outcome =
            event_loop.block_on(async { reader.readable().await.expect_err("nobody watches it") });
        assert_eq!(outcome.expect("the loop runs").to_string(), "the event loop is closed");
    });
}

#[test]
#[should_panic(expected = "no qtloop event loop runs on this thread")]
fn without_a_loop_there_is_nothing_to_wait_for() {
    half_awaited();
}

#[test]
fn a_poll_that_is_ready_is_so_once() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (reader, mut writer) = half_awaited();
            let polls = Cell::new(0);
            let wait = poll_fn(|context| {
                polls.update(|polls| polls + 1);
                reader.poll_readable(context)
            });
            let (ready, ()) = join(wait, async {
                settle().await;
                writer.write_all(b"x").expect("there is room");
            })
            .await;
            ready.expect("it is readable");
            assert!(polls.get() >= 2);
            let again = poll_fn(|context| Poll::Ready(reader.poll_readable(context))).await;
            assert!(again.is_pending());
            poll_fn(|context| reader.poll_readable(context)).await.expect("it is still readable");
        });
        outcome.expect("the loop runs");
    });
}
