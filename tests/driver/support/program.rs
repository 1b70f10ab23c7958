//! Small random programs for a loop.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use qtloop::core::{Direction, Interest};

/// One thing that an item does. Bodies, fds and timers are numbers, taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Op {
    Soon(usize),
    /// As from another thread.
    Send(usize),
    /// A timer so many nanoseconds from now, or before now.
    At(i64, usize),
    Cancel(usize),
    Watch(usize, Direction, usize),
    Unwatch(usize, Direction),
    /// The item takes so many nanoseconds.
    Spend(u64),
    /// A run of the host inside the item. A timer ends it after so many nanoseconds, if nothing
    /// else has.
    Nest(u64),
    Quit,
    Stop,
    Break,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub slice: Duration,
    /// What is done before the first run.
    pub prelude: Vec<Op>,
    /// What an item of that body does.
    pub bodies: Vec<Vec<Op>>,
    /// When which fd becomes ready.
    pub script: Vec<(u64, usize, Interest)>,
}

/// Longer than any program takes.
pub const ENDLESS: Duration = Duration::from_secs(3600);

/// Programs that do all there is to do.
pub fn any_program() -> impl Strategy<Value = Program> {
    let slice = prop_oneof![
        Just(ENDLESS),
        Just(Duration::ZERO),
        (1..200u64).prop_map(Duration::from_nanos)
    ];
    let interest = (1..4u32).prop_map(Interest::from_abi);
    let body = vec(prop_oneof![8 => plain_op(), 4 => fd_op(), 3 => wild_op()], 0..6);
    let prelude = vec(prop_oneof![6 => plain_op(), 3 => fd_op()], 1..8);
    (slice, prelude, vec(body, 1..6), vec((0..300u64, 0..4usize, interest), 0..10))
        .prop_map(|(slice, prelude, bodies, script)| Program { slice, prelude, bodies, script })
}

/// Programs that take no time and never leave an iteration half done: their order is the same
/// whatever the slice is.
pub fn timeless_program() -> impl Strategy<Value = Program> {
    (vec(plain_op(), 1..8), vec(vec(plain_op(), 0..6), 1..6)).prop_map(|(prelude, bodies)| {
        Program { slice: ENDLESS, prelude, bodies, script: Vec::new() }
    })
}

fn plain_op() -> impl Strategy<Value = Op> {
    let body = || 0..8usize;
    prop_oneof![
        8 => body().prop_map(Op::Soon),
        3 => body().prop_map(Op::Send),
        // Often a whole multiple, so that deadlines are equal.
        4 => (-3..10i64, body()).prop_map(|(tens, body)| Op::At(10 * tens, body)),
        2 => (-30..100i64, body()).prop_map(|(nanos, body)| Op::At(nanos, body)),
        3 => (0..64usize).prop_map(Op::Cancel),
        1 => Just(Op::Stop),
    ]
}

fn fd_op() -> impl Strategy<Value = Op> {
    let side = || (0..4usize, prop::sample::select(&[Direction::Read, Direction::Write][..]));
    prop_oneof![
        3 => (side(), 0..8usize).prop_map(|((fd, direction), body)| Op::Watch(fd, direction, body)),
        1 => side().prop_map(|(fd, direction)| Op::Unwatch(fd, direction)),
    ]
}

fn wild_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..80u64).prop_map(Op::Spend),
        3 => (0..100u64).prop_map(Op::Nest),
        1 => Just(Op::Quit),
        1 => Just(Op::Break),
    ]
}
