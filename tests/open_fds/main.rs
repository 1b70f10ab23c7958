//! What the process has open, before and after. The only test of its process: the numbers belong to
//! it alone.
#![allow(clippy::expect_used)]

#[path = "../tasks/loops.rs"]
mod loops;

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::future::{join, poll_fn};
use futures::{AsyncReadExt, AsyncWriteExt};
use loops::{AnyLoop, on_every_loop};
use qtloop::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use qtloop::process::Exit;
use qtloop::{Readiness, pipe, spawn_local, timeout, yield_now};

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").expect("proc is there").count()
}

/// Everything that has an fd, used and dropped in the middle of a wait.
async fn uses_fds() -> io::Result<()> {
    let listener = TcpListener::bind(LOCAL)?;
    let (client, accepted) =
        join(TcpStream::connect(listener.local_addr()?), listener.accept()).await;
    let (mut client, (mut server, _)) = (client?, accepted?);
    let (mut sender, mut receiver) = pipe::pipe()?;
    let (mut socket, udp) = (UnixStream::pair()?.0, UdpSocket::bind(LOCAL)?);
    let cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut waiting = vec![
        spawn_local(async move { listener.accept().await.map(drop) }),
        spawn_local(async move { receiver.read(&mut [0]).await.map(drop) }),
        spawn_local(async move {
            while sender.write(&[0; 4096]).await.is_ok() {}
            Ok(())
        }),
        spawn_local(async move { udp.receive(&mut [0]).await.map(drop) }),
        spawn_local(async move { client.read(&mut [0]).await.map(drop) }),
        spawn_local(async move { socket.read(&mut [0]).await.map(drop) }),
    ];
    timeout(Duration::from_millis(1), server.read(&mut [0])).await.expect_err("silence");
    Exit::new(cat)?.await?;
    waiting.truncate(2);
    // libkqueue takes the error of a refused connection out of the socket, before anybody sees it.
    #[cfg(not(qtloop_libkqueue))]
    TcpStream::connect(LOCAL).await.expect_err("nobody listens there");
    // The other two are dropped together with the run.
    Ok(())
}

/// An fd is closed while it is watched, and the next one gets its number.
async fn uses_a_number_again() {
    let (first, _writer) = io::pipe().expect("fds are left");
    let number = first.as_raw_fd();
    let first = Readiness::new(first).expect("open");
    assert!(
        poll_fn(|context| std::task::Poll::Ready(first.poll_readable(context))).await.is_pending()
    );
    yield_now().await;
    drop(first);
    let (second, mut writer) = io::pipe().expect("fds are left");
    assert_eq!(second.as_raw_fd(), number);
    let second = Readiness::new(second).expect("open");
    timeout(Duration::from_millis(1), second.readable()).await.expect_err("nothing has come");
    writer.write_all(b"x").expect("there is room");
    second.readable().await.expect("open");
}

fn run(event_loop: &AnyLoop) {
    event_loop.block_on(uses_fds()).expect("the loop runs").expect("fds are left");
    event_loop.block_on(uses_a_number_again()).expect("the loop runs");
}

#[test]
fn no_fd_is_left_open() {
    // Each kind of loop once, for what is made only once in a process.
    on_every_loop(|event_loop, _| run(event_loop));
    let before = open_fds();
    on_every_loop(|event_loop, _| {
        run(event_loop);
        let between = open_fds();
        run(event_loop);
        assert_eq!(open_fds(), between);
    });
    assert_eq!(open_fds(), before);
}
