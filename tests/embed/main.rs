//! Python in a Rust program. There is one interpreter and one QCoreApplication in a process, so
//! every program that a test looks at runs in a child: this binary again, told by an environment
//! variable which of `programs` to be.
#![allow(clippy::expect_used)]

mod child;
mod programs;
mod tests;

use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Ok(name) = env::var(child::PROGRAM) {
        return programs::run(&name);
    }
    child::let_ctrl_c_through();
    let filter =
        env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failed = Vec::new();
    for (name, test) in tests::TESTS.iter().filter(|(name, _)| name.contains(&filter)) {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("failed: {failed:?}");
    ExitCode::from(u8::from(!failed.is_empty()))
}
