//! A program run in a child process, and a directory for what it reads.

use std::env;
use std::ffi::c_int;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment variable that makes this binary one of the programs.
pub const PROGRAM: &str = "QTLOOP_TEST_PROGRAM";

use rustix::process::{Pid, Signal, kill_process};

const SIGINT: c_int = 2;
const SIG_DFL: usize = 0;

unsafe extern "C" {
    /// C's, whose handlers are addresses or one of a few numbers.
    fn signal(number: c_int, handler: usize) -> usize;
}

/// From now on children begin with a Ctrl-C that ends them. A shell lets its jobs in the background
/// ignore it, and so would the programs: Python then leaves it so.
pub fn let_ctrl_c_through() {
    // SAFETY: no handler of Rust's is set, and none is lost: tests begin with the default or with
    // `SIG_IGN`.
    unsafe { signal(SIGINT, SIG_DFL) };
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// What it printed, if all went well.
    #[track_caller]
    pub fn printed(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "printed: {}", self.stdout);
        self.stdout
    }
}

/// The program, without what the tester's environment may set.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.env(PROGRAM, name);
    for variable in
        ["VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONASYNCIODEBUG", "QT_API", "QTLOOP_HOST"]
    {
        command.env_remove(variable);
    }
    command
}

/// Runs it to its end.
pub fn end(command: &mut Command) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Presses Ctrl-C when it has printed a line, and waits for its end.
pub fn interrupt(command: &mut Command) -> Ended {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut printed = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut stdout = String::new();
    printed.read_line(&mut stdout).expect("a line");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    printed.read_to_string(&mut stdout).expect("UTF-8");
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code(),
        stdout,
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A directory that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "qtloop-embed-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Directory(path.canonicalize().expect("it is there"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file there, and the directories on the way to it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        fs::write(&path, text).expect("a new file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// Runs a script in the program `script` to its end.
pub fn script(source: &str, args: &[&str]) -> Ended {
    let directory = Directory::new();
    end(program("script").arg(directory.write("main.py", source)).args(args))
}
