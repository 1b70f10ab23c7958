//! Sockets as futures, on every loop.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::loops::on_every_loop;
use futures::future::{join, join_all, try_join};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, TryStreamExt};
use qtloop::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use qtloop::{spawn_local, timeout, yield_now};

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(LOCAL)?;
    let (client, (server, peer)) =
        try_join(TcpStream::connect(listener.local_addr()?), listener.accept()).await?;
    assert_eq!((peer, client.peer_addr()?), (client.local_addr()?, server.local_addr()?));
    Ok((client, server))
}

/// Much goes to the server and comes back, while the client writes and reads at once.
async fn echoes_much<S>(client: S, server: S)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let sent: Vec<u8> = (0..3 << 20).map(|nth| (nth % 249) as u8).collect();
    let echo = spawn_local(async move {
        let (reader, mut writer) = server.split();
        let count = futures::io::copy(reader, &mut writer).await?;
        writer.close().await.map(|()| count)
    });
    let (mut reader, mut writer) = client.split();
    let write = async {
        writer.write_all(&sent).await?;
        writer.close().await
    };
    let mut received = Vec::new();
    try_join(write, reader.read_to_end(&mut received)).await.expect("the connection holds");
    assert!(received == sent);
    assert_eq!(echo.await.expect("no panic").expect("the connection holds"), sent.len() as u64);
}

#[test]
fn tcp_echoes_much() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (client, server) = tcp_pair().await.expect("a connection");
            echoes_much(client, server).await;
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn unix_sockets_echo_much() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (client, server) = UnixStream::pair().expect("fds are left");
            echoes_much(client, server).await;
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn a_socket_file() {
    let path = std::env::temp_dir().join(format!("qtloop-{}.socket", std::process::id()));
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let missing = UnixStream::connect(&path).await.expect_err("there is no such file");
            assert_eq!(missing.kind(), ErrorKind::NotFound);
            let listener = UnixListener::bind(&path).expect("a new file");
            let (client, accepted) = join(UnixStream::connect(&path), listener.accept()).await;
            let (mut client, (mut server, _)) =
                (client.expect("connected"), accepted.expect("a connection"));
            assert_eq!(client.peer_addr().expect("connected").as_pathname(), Some(path.as_path()));
            let next = join(UnixStream::connect(&path), listener.incoming().next()).await;
            assert!(next.0.is_ok() && next.1.is_some_and(|next| next.is_ok()));

            let written =
                server.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"two")]).await;
            assert_eq!(written.expect("there is room"), 6);
            let (first, rest) = (&mut [0; 4], &mut [0; 4]);
            let read =
                client.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(rest)]).await;
            assert_eq!(
                (read.expect("it is there"), &first[..], &rest[..2]),
                (6, &b"onet"[..], &b"wo"[..])
            );
        });
        std::fs::remove_file(&path).expect("the listener's file");
        outcome.expect("the loop runs");
    });
}

#[test]
fn one_task_reads_while_another_writes() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (client, server) = tcp_pair().await.expect("a connection");
            let client = std::rc::Rc::new(client);
            let reader = spawn_local({
                let client = std::rc::Rc::clone(&client);
                async move {
                    let mut answer = String::new();
                    (&*client).read_to_string(&mut answer).await.map(|_| answer)
                }
            });
            let writer = spawn_local(async move {
                (&*client).write_all(b"question").await?;
                client.shutdown(Shutdown::Write)
            });
            let mut question = String::new();
            (&server).read_to_string(&mut question).await.expect("a question");
            (&server).write_all(question.to_uppercase().as_bytes()).await.expect("there is room");
            drop(server);
            writer.await.expect("no panic").expect("connected");
            assert_eq!(reader.await.expect("no panic").expect("an answer"), "QUESTION");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn a_hundred_clients() {
    const CLIENTS: usize = 100;
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let listener = TcpListener::bind(LOCAL).expect("a port");
            let address = listener.local_addr().expect("bound");
            let server = spawn_local(async move {
                let serve = |connection: TcpStream| async move {
                    futures::io::copy(&connection, &mut &connection).await.map(drop)
                };
                listener.incoming().take(CLIENTS).try_for_each_concurrent(None, serve).await
            });
            let clients = (0..CLIENTS).map(|nth| async move {
                let mut client = TcpStream::connect(address).await?;
                let text = format!("client {nth}").repeat(100);
                client.write_all(text.as_bytes()).await?;
                yield_now().await;
                client.close().await?;
                let mut answer = String::new();
                client.read_to_string(&mut answer).await?;
                io::Result::Ok(answer == text)
            });
            let answers = join_all(clients).await;
            assert!(answers.into_iter().all(|answer| answer.expect("the connection holds")));
            server.await.expect("no panic").expect("the connections hold");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
#[cfg_attr(
    qtloop_libkqueue,
    ignore = "libkqueue takes the error out of the socket before anybody sees it"
)]
fn the_peer_resets_the_connection() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (mut client, server) = tcp_pair().await.expect("a connection");
            client.write_all(b"never read").await.expect("there is room");
            let reset = async {
                let mut byte = [0];
                rustix::net::recv(&server, &mut byte, rustix::net::RecvFlags::PEEK)
                    .expect("it has come");
                drop(server);
            };
            let (read, ()) = join(client.read(&mut [0; 8]), reset).await;
            assert_eq!(read.expect_err("reset").kind(), ErrorKind::ConnectionReset);
            let written = client
                .write(b"x")
                .await
                .expect_err("nobody is there, and no signal ends the process");
            assert_eq!(written.kind(), ErrorKind::BrokenPipe);
            client.close().await.expect("nobody is left to be told");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
#[cfg_attr(
    qtloop_libkqueue,
    ignore = "libkqueue takes the error out of the socket before anybody sees it"
)]
fn nobody_listens() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            // The port is taken, so that nobody else can listen there.
            let socket = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                None,
            );
            let socket = socket.expect("fds are left");
            rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let address = rustix::net::getsockname(&socket).expect("bound");
            let refused =
                TcpStream::connect(SocketAddr::try_from(address).expect("an address")).await;
            assert_eq!(refused.expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn what_is_given_up_can_be_tried_again() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let moment = Duration::from_millis(10);
            let listener = TcpListener::bind(LOCAL).expect("a port");
            timeout(moment, listener.accept()).await.expect_err("nobody connects");
            timeout(moment, listener.incoming().next()).await.expect_err("nobody connects");
            let connect = TcpStream::connect(listener.local_addr().expect("bound"));
            let (client, server) = join(connect, listener.accept()).await;
            let (mut client, (mut server, _)) =
                (client.expect("connected"), server.expect("a connection"));

            let mut answer = [0; 4];
            timeout(moment, client.read_exact(&mut answer)).await.expect_err("silence");
            server.write_all(b"late").await.expect("there is room");
            client.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"late");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn a_connection_of_the_standard_library() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("fds are left");
            let mut ours = UnixStream::new(ours).expect("open");
            let thread = std::thread::spawn(move || theirs.write_all(b"from a thread"));
            let mut text = String::new();
            ours.read_to_string(&mut text).await.expect("an end");
            assert_eq!(text, "from a thread");
            thread.join().expect("no panic").expect("there is room");
            drop(ours.into_inner());
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn datagrams() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let (one, other) =
                (UdpSocket::bind(LOCAL).expect("a port"), UdpSocket::bind(LOCAL).expect("a port"));
            let address = one.local_addr().expect("bound");
            let buffer = &mut [0; 16];
            timeout(Duration::from_millis(10), one.receive_from(buffer))
                .await
                .expect_err("nothing has come");
            let send = async {
                yield_now().await;
                other.send_to(b"hello", address).await
            };
            let (received, sent) = join(one.receive_from(buffer), send).await;
            assert_eq!(sent.expect("there is room"), 5);
            assert_eq!(received.expect("a datagram"), (5, other.local_addr().expect("bound")));

            other.connect(address).expect("an address");
            other.send(b"").await.expect("there is room");
            other.send(b"again").await.expect("there is room");
            assert_eq!(one.receive(buffer).await.expect("a datagram"), 0);
            assert_eq!(
                (one.receive(buffer).await.expect("a datagram"), &buffer[..5]),
                (5, &b"again"[..])
            );
        });
        outcome.expect("the loop runs");
    });
}
