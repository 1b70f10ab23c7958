//! A server that sends readings, and what receives them.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncWriteExt, Stream, StreamExt, TryFutureExt};
use qtloop::net::{TcpListener, TcpStream};
use qtloop::{interval, spawn_local};

/// Starts a server that sends a reading every 20 ms, a line each.
pub fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        while let Ok((client, _)) = listener.accept().await {
            spawn_local(send(client)).detach();
        }
    })
    .detach();
    Ok(address)
}

/// Sends readings until nobody listens any more.
async fn send(mut client: TcpStream) -> io::Result<()> {
    let mut beat = interval(Duration::from_millis(20));
    for step in 0_u32.. {
        beat.tick().await;
        let reading = 0.5 + 0.4 * (f64::from(step) / 12.0).sin();
        client.write_all(format!("{reading:.3}\n").as_bytes()).await?;
    }
    Ok(())
}

/// The readings that a server sends, until it hangs up.
pub fn readings(server: SocketAddr) -> impl Stream<Item = f64> {
    let lines = TcpStream::connect(server)
        .map_ok(|connection| BufReader::new(connection).lines())
        .try_flatten_stream();
    let lines = lines.take_while(|line| ready(line.is_ok()));
    lines.filter_map(|line| ready(line.ok().and_then(|line| line.parse().ok())))
}
