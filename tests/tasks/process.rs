//! Child processes as futures, on every loop.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::loops::on_every_loop;
use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use qtloop::process::Exit;
use qtloop::{pipe, timeout};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// A shell that runs `script`, with pipes for its input and output.
fn shell(script: &str) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    shell.spawn().expect("a shell")
}

/// Waits until the process has ended, and leaves it a zombie.
fn let_end(pid: Pid) {
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("a child");
}

/// Whether the process is a child still, perhaps a zombie.
fn is_child(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Err(Errno::CHILD) => false,
        outcome => outcome.map(|_| true).expect("a number of a process"),
    }
}

#[test]
fn several_at_once() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let mut children: Vec<_> =
                (0..5).map(|code| shell(&format!("read line; exit {code}"))).collect();
            let inputs: Vec<_> = children.iter_mut().map(|child| child.stdin.take()).collect();
            let pids: Vec<_> = children.iter().map(Pid::from_child).collect();
            let exits: Vec<_> =
                children.into_iter().map(|child| Exit::new(child).expect("fds are left")).collect();
            assert!(pids.iter().all(|pid| is_child(*pid)));
            drop(inputs);
            let codes: Vec<_> = join_all(exits)
                .await
                .into_iter()
                .map(|status| status.expect("a child").code())
                .collect();
            assert_eq!(codes, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
            assert!(!pids.iter().any(|pid| is_child(*pid)), "a zombie is left");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn one_that_has_ended_already() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let zombie = shell("exit 3");
            let pid = Pid::from_child(&zombie);
            let_end(pid);
            assert_eq!(
                Exit::new(zombie).expect("a child").await.expect("a status").code(),
                Some(3)
            );
            assert!(!is_child(pid));

            let mut known = shell("exit 4");
            known.wait().expect("a child");
            assert_eq!(
                Exit::new(known).expect("its status").await.expect("its status").code(),
                Some(4)
            );
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn one_that_waits_for_input_gets_its_end() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let exit = Exit::new(shell("cat")).expect("fds are left");
            assert!(exit.await.expect("a status").success());
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn one_that_is_killed() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let mut child = shell("read line");
            let _input = child.stdin.take();
            let mut exit = Exit::new(child).expect("fds are left");
            timeout(Duration::from_millis(10), &mut exit).await.expect_err("it waits for input");
            exit.get_mut().kill().expect("it is there");
            assert_eq!(exit.await.expect("a status").signal(), Some(9));
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn dropping_the_exit_leaves_the_child() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let mut child = shell("read line; echo got $line");
            let pid = Pid::from_child(&child);
            let mut input = pipe::Sender::new(child.stdin.take().expect("piped")).expect("open");
            let mut output =
                pipe::Receiver::new(child.stdout.take().expect("piped")).expect("open");
            let mut exit = Exit::new(child).expect("fds are left");
            timeout(Duration::from_millis(1), &mut exit).await.expect_err("it waits for input");
            drop(exit);
            input.write_all(b"it\n").await.expect("there is a reader");
            let mut text = String::new();
            output.read_to_string(&mut text).await.expect("an end");
            assert_eq!(text, "got it\n");
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).expect("it is still a child");
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn one_that_somebody_else_has_waited_for() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let child = shell("exit 5");
            waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED).expect("a child");
            let error = Exit::new(child).expect_err("nobody knows how it ended");
            assert_eq!(error.raw_os_error(), Some(Errno::CHILD.raw_os_error()));
        });
        outcome.expect("the loop runs");
    });
}

#[test]
fn much_goes_through_a_child() {
    on_every_loop(|event_loop, _| {
        let outcome = event_loop.block_on(async {
            let mut child = shell("cat");
            let mut input = pipe::Sender::new(child.stdin.take().expect("piped")).expect("open");
            let mut output =
                pipe::Receiver::new(child.stdout.take().expect("piped")).expect("open");
            let exit = Exit::new(child).expect("fds are left");
            let sent = vec![b'x'; 1 << 20];
            let write = async {
                input.write_all(&sent).await.expect("there is a reader");
                input.close().await.expect("open");
            };
            let mut received = Vec::new();
            let (read, (), status) =
                futures::future::join3(output.read_to_end(&mut received), write, exit).await;
            assert_eq!(read.expect("an end"), sent.len());
            assert!(received == sent && status.expect("a status").success());
        });
        outcome.expect("the loop runs");
    });
}
