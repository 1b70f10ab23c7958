//! An echo server, and what asks it.

use std::io;
use std::net::SocketAddr;

use futures::io::{BufReader, copy};
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use qtloop::net::{TcpListener, TcpStream};
use qtloop::spawn_local;

/// Starts a server that sends back whatever it gets.
pub fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (reader, mut writer) = client.split();
            spawn_local(async move { copy(reader, &mut writer).await }).detach();
        }
    })
    .detach();
    Ok(address)
}

/// Sends a line and gives what comes back.
pub async fn ask(server: SocketAddr, line: String) -> io::Result<String> {
    let mut connection = TcpStream::connect(server).await?;
    connection.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}
