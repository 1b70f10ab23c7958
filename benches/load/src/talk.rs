//! What is said over a connection: by default an echo.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::Outcome;
use crate::args::Args;
use crate::channel::Channel;

/// A request that is sent again and again, with answers that all have the same length.
pub struct Talk {
    pub opening: Opening,
    pub request: Vec<u8>,
    /// How many bytes an answer has.
    pub answer: usize,
}

/// What is said once on each connection, before it counts.
#[derive(Default)]
pub struct Opening {
    request: Vec<u8>,
    answer: usize,
}

impl Talk {
    /// Takes `--size`, or `--request` with `--answer`, and perhaps `--opening` with
    /// `--opening-answer`. Requests are files.
    pub fn new(args: &mut Args) -> Outcome<Self> {
        let size: usize = args.optional("size")?.unwrap_or(1024);
        let opening = match args.optional::<PathBuf>("opening")? {
            Some(file) => {
                Opening { request: fs::read(file)?, answer: args.required("opening-answer")? }
            }
            None => Opening::default(),
        };
        Ok(match args.optional::<PathBuf>("request")? {
            Some(file) => {
                Self { opening, request: fs::read(file)?, answer: args.required("answer")? }
            }
            None => Self { opening, request: vec![b'x'; size], answer: size },
        })
    }
}

impl Opening {
    /// Says it on a channel that still blocks.
    pub fn hold(&self, channel: &mut Channel) -> io::Result<()> {
        if self.request.is_empty() {
            return Ok(());
        }
        channel.write_all(&self.request)?;
        channel.flush()?;
        channel.read_exact(&mut vec![0; self.answer])
    }
}
