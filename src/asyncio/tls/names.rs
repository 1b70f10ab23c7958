//! The attributes of asyncio's own class that the engine keeps, and their names there.

use std::ffi::CStr;

/// Attributes that hold any object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Object {
    State,
    AppProtocol,
    Transport,
    Backlog,
    Incoming,
    Outgoing,
    Ssl,
    IncomingHigh,
    IncomingLow,
    OutgoingHigh,
    OutgoingLow,
}

pub const OBJECTS: [(Object, &CStr); 11] = [
    (Object::State, c"_state"),
    (Object::AppProtocol, c"_app_protocol"),
    (Object::Transport, c"_transport"),
    (Object::Backlog, c"_write_backlog"),
    (Object::Incoming, c"_incoming"),
    (Object::Outgoing, c"_outgoing"),
    (Object::Ssl, c"_sslobj"),
    (Object::IncomingHigh, c"_incoming_high_water"),
    (Object::IncomingLow, c"_incoming_low_water"),
    (Object::OutgoingHigh, c"_outgoing_high_water"),
    (Object::OutgoingLow, c"_outgoing_low_water"),
];

/// Attributes that are true or false.
#[derive(Clone, Copy)]
pub enum Flag {
    IsBuffered,
    AppReadingPaused,
    AppWritingPaused,
    SslReadingPaused,
    SslWritingPaused,
}

pub const FLAGS: [&CStr; 5] = [
    c"_app_protocol_is_buffer",
    c"_app_reading_paused",
    c"_app_writing_paused",
    c"_ssl_reading_paused",
    c"_ssl_writing_paused",
];
