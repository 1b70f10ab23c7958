//! A Rust program, without a display, that runs an asyncio script on its own Qt event loop.
//!
//! The script serves; a Rust future on the same loop is the client, another ticks beside them. When
//! the client is done it quits the application, which the script takes as its end.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncWriteExt, TryStreamExt};
use pyo3::PyErr;
use qtloop::interval;
use qtloop::net::TcpStream;
use qtloop::python::{self, App, Error};
use qtloop::qt::Application;

const LINES: usize = 100;
const TICK: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    python::finish(serve())
}

/// The whole program, up to its end.
pub fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(PyErr::from)?;
    let address = listener.local_addr().map_err(PyErr::from)?;
    let app = App::new()?;
    let ticks = Rc::new(Cell::new(0_u32));
    let ticker = app.local()?.spawn_local(tick(Rc::clone(&ticks)));
    let echoed = Rc::new(Cell::new(None));
    let outcome = Rc::clone(&echoed);
    let client = app.local()?.spawn_local(async move {
        outcome.set(Some(ask(address).await));
        ticker.cancel().await;
        Application::quit();
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/embed_python/server.py");
    app.run_script(script, [listener.into_raw_fd().to_string()])?;
    drop(client);
    let lines = echoed.take().unwrap_or(Ok(0)).map_err(PyErr::from)?;
    println!("rust: {lines} lines came back, and the timer ticked {} times", ticks.get());
    Ok(())
}

/// Ticks until it is cancelled.
async fn tick(ticks: Rc<Cell<u32>>) {
    let mut interval = interval(TICK);
    loop {
        interval.tick().await;
        ticks.set(ticks.get() + 1);
    }
}

/// Sends lines to the server and counts those that come back.
async fn ask(address: SocketAddr) -> io::Result<usize> {
    let server = TcpStream::connect(address).await?;
    let mut answers = BufReader::new(&server).lines();
    let mut echoed = 0;
    for number in 0..LINES {
        let line = format!("line {number}");
        (&server).write_all(format!("{line}\n").as_bytes()).await?;
        let answer = answers.try_next().await?;
        echoed += usize::from(answer == Some(line));
    }
    Ok(echoed)
}
