//! What is expected of the programs.

use std::path::Path;
use std::process::Command;

use crate::child::{Directory, end, interrupt, program, script};

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name)),*];
    };
}

tests![
    a_script_is_the_main_module,
    a_module_runs_as_by_the_m_option,
    a_script_decides_on_the_exit_code,
    a_text_given_to_exit_is_printed,
    an_exception_of_a_script_is_printed_with_its_lines,
    what_is_printed_is_flushed_and_exit_functions_are_called,
    a_missing_script_is_an_error,
    tracebacks_show_the_package_s_lines,
    inspect_shows_the_package_s_lines,
    every_module_of_the_package_is_there,
    the_program_s_own_package_hides_an_installed_one,
    another_qtloop_that_is_imported_already_is_an_error,
    a_virtual_environment_is_used,
    a_named_virtual_environment_is_used,
    an_unsuitable_virtual_environment_is_an_error,
    the_loop_needs_no_binding,
    debug_mode_needs_no_binding,
    what_needs_a_binding_says_so,
    a_quit_reaches_a_script,
    new_event_loop_is_the_application_s,
    ctrl_c_interrupts_a_script,
    rust_spawns_on_the_script_s_loop,
    a_dropped_application_closes_its_loop,
    the_first_run_is_for_the_main_thread,
    run_gives_the_output,
    run_gives_the_error,
    run_gives_the_error_of_a_coroutine,
    run_ends_with_the_exit_code_of_system_exit,
    a_panic_goes_on_after_the_run,
    run_cleans_up,
    an_error_of_the_end_comes_after_the_future_s,
    a_quit_ends_a_run,
    ctrl_c_interrupts_a_run,
    the_example_ends_cleanly,
];

fn a_script_is_the_main_module() {
    let directory = Directory::new();
    directory.write("beside.py", "NAME = 'found beside it'");
    let source = "import sys, beside; print(__name__, sys.argv, __file__, beside.NAME, sep='\\n')";
    let path = directory.write("main.py", source);
    let printed = end(program("script").arg(&path).args(["a", "b c"])).printed();
    let path = path.display();
    assert_eq!(printed, format!("__main__\n['{path}', 'a', 'b c']\n{path}\nfound beside it\n"));
}

fn a_module_runs_as_by_the_m_option() {
    let directory = Directory::new();
    directory.write("pack/__main__.py", "import sys; print(__name__, sys.argv[1:], __package__)");
    let printed =
        end(program("module").args(["pack", "x"]).current_dir(directory.path())).printed();
    assert_eq!(printed, "__main__ ['x'] pack\n");
}

fn a_script_decides_on_the_exit_code() {
    for (source, code) in
        [("exit(3)", 3), ("exit()", 0), ("exit(256 + 7)", 7), ("raise SystemExit", 0)]
    {
        assert_eq!(script(source, &[]).code, Some(code), "{source}");
    }
}

fn a_text_given_to_exit_is_printed() {
    let ended = script("exit('no such port')", &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "no such port\n"));
}

fn an_exception_of_a_script_is_printed_with_its_lines() {
    let ended = script("def f():\n    raise ValueError('wrong')\nf()", &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("raise ValueError('wrong')"), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("ValueError: wrong\n"), "{}", ended.stderr);
}

fn what_is_printed_is_flushed_and_exit_functions_are_called() {
    let printed = script(
        "import atexit, threading, time
atexit.register(print, 'exit function')
event = threading.Event()
threading.Thread(target=lambda: (event.wait(), print('thread'))).start()
print('script')
event.set()
",
        &[],
    );
    let printed = printed.printed();
    let mut lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.pop(), Some("exit function"));
    lines.sort_unstable();
    assert_eq!(lines, ["script", "thread"]);
}

fn a_missing_script_is_an_error() {
    let ended = end(program("script").arg("/nowhere/main.py"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("FileNotFoundError"), "{}", ended.stderr);
}

fn tracebacks_show_the_package_s_lines() {
    let ended = script("import qtloop\nqtloop.EventLoop(host='none')", &[]);
    assert!(ended.stderr.contains("/qtloop/_host_choice.py\", line "), "{}", ended.stderr);
    assert!(ended.stderr.contains("raise ValueError(f\"host must be"), "{}", ended.stderr);
}

fn inspect_shows_the_package_s_lines() {
    let source = "import inspect, qtloop, qtloop._core
print(inspect.getsource(qtloop.new_event_loop).splitlines()[0])
print(qtloop.__spec__.has_location, hasattr(qtloop, '__file__'), qtloop.__path__, \
qtloop.__package__)
print(qtloop._core.__name__, qtloop._core.Loop.__module__, \
qtloop.__loader__.get_source('qtloop._core'))
";
    let printed = script(source, &[]).printed();
    let expected = "def new_event_loop() -> EventLoop:\nFalse False [] qtloop\nqtloop._core \
        qtloop._core None\n";
    assert_eq!(printed, expected);
}

fn every_module_of_the_package_is_there() {
    let source = "import pathlib, qtloop, sys
for path in pathlib.Path(sys.argv[1]).rglob('*.py'):
    parts = path.relative_to(sys.argv[1]).with_suffix('').parts
    if '__pyinstaller' in parts:  # For a tool.
        continue
    is_package = parts[-1] == '__init__'
    name = '.'.join(['qtloop', *parts[:-1 if is_package else None]])
    assert qtloop.__loader__.get_source(name) == path.read_text(), name
    assert qtloop.__loader__.is_package(name) == is_package, name
    package = name if is_package else name.rpartition('.')[0]
    code = qtloop.__loader__.get_code(name)
    # Some of them need a binding, or look for themselves among the imported. One is for Windows.
    if (package == 'qtloop' or is_package) and name != 'qtloop._windows':
        exec(code, {'__name__': name, '__package__': package})
    print(name)
import qtloop.compat
";
    let printed =
        script(source, &[concat!(env!("CARGO_MANIFEST_DIR"), "/python/qtloop")]).printed();
    for expected in ["qtloop", "qtloop._loop", "qtloop.compat", "qtloop.compat.qasync"] {
        assert!(printed.lines().any(|name| name == expected), "{printed}");
    }
}

fn the_program_s_own_package_hides_an_installed_one() {
    let directory = Directory::new();
    directory.write("qtloop/__init__.py", "raise RuntimeError('the installed one')");
    let path =
        directory.write("main.py", "import qtloop, qtloop._run; print(qtloop.__spec__.loader)");
    let printed = end(program("script").arg(path).env("PYTHONPATH", directory.path())).printed();
    assert!(printed.contains("Importer"), "{printed}");
}

fn another_qtloop_that_is_imported_already_is_an_error() {
    let directory = Directory::new();
    directory.write("qtloop.py", "");
    directory.write("sitecustomize.py", "import qtloop");
    let ended = end(program("start").env("PYTHONPATH", directory.path()));
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("imported already, but this program brings its own"),
        "{}",
        ended.stderr
    );
}

/// Makes a virtual environment of the Python that the programs are linked against; its path, and
/// that Python's.
fn make_venv(directory: &Path) -> (String, String) {
    let described = end(&mut program("start")).printed();
    let base = described.lines().nth(1).expect("sys.base_prefix").to_owned();
    let made = Command::new(format!("{base}/bin/python3"))
        .args(["-m", "venv", "--without-pip"])
        .arg(directory)
        .status();
    assert!(made.expect("Python's own command").success());
    (directory.display().to_string(), base)
}

fn a_virtual_environment_is_used() {
    let directory = Directory::new();
    let (venv, base) = make_venv(&directory.path().join("venv"));
    let printed = end(program("start").env("VIRTUAL_ENV", &venv).arg("argument")).printed();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[..3], [&venv, &base, &format!("{venv}/bin/python")]);
    assert!(lines[3].ends_with("'argument']") && lines[4] == "True", "{printed}");
    let source = "import site, sys; print(*site.getsitepackages(), sys.path[-1])";
    let path = directory.write("main.py", source);
    let printed = end(program("script").arg(path).env("VIRTUAL_ENV", &venv)).printed();
    let packages: Vec<_> = printed.split_whitespace().collect();
    assert!(packages[0].starts_with(&venv) && packages.last() == packages.first(), "{printed}");
}

fn a_named_virtual_environment_is_used() {
    let directory = Directory::new();
    let (venv, base) = make_venv(&directory.path().join("venv"));
    let printed = end(program("named_venv").arg(&venv)).printed();
    assert_eq!(printed, format!("{venv}\n{base}\n{venv}/bin/python\n['one', 'two']\nTrue\n"));
    let (other, _) = make_venv(&directory.path().join("other"));
    let printed = end(program("named_venv").arg(&venv).env("VIRTUAL_ENV", &other)).printed();
    assert!(printed.starts_with(&other), "the environment variable comes first: {printed}");
}

fn an_unsuitable_virtual_environment_is_an_error() {
    let directory = Directory::new();
    let none = end(program("start").env("VIRTUAL_ENV", directory.path()));
    assert!(none.code == Some(1) && none.stderr.contains("has no pyvenv.cfg"), "{none:?}");
    directory.write("pyvenv.cfg", "home = /usr/bin\nversion = 3.2.1\n");
    let old = end(program("start").env("VIRTUAL_ENV", directory.path()));
    assert!(
        old.code == Some(1)
            && old.stderr.contains("is one of Python 3.2, but this program's Python is 3."),
        "{old:?}"
    );
    let astray = end(program("start").env("PYTHONHOME", directory.path()));
    assert!(
        astray.code == Some(1) && astray.stderr.contains("Python did not start: "),
        "{astray:?}"
    );
}

fn the_loop_needs_no_binding() {
    let source = "import asyncio, qtloop, sys
async def main():
    await asyncio.sleep(0.001)
    await asyncio.get_running_loop().run_in_executor(None, int)
    return asyncio.get_running_loop().host
print(qtloop.run(main()), qtloop.run(main()), \
asyncio.Runner(loop_factory=qtloop.EventLoop).run(main()))
with qtloop.attach() as loop:
    print(asyncio.get_running_loop() is loop)
print([name for name in sys.modules if name.startswith(('PyQt', 'PySide'))])
";
    assert_eq!(script(source, &[]).printed(), "qt qt qt\nTrue\n[]\n");
}

fn debug_mode_needs_no_binding() {
    let source = "import asyncio, logging, qtloop, threading
told = threading.Event()
class Watch(logging.StreamHandler):
    def emit(self, record):
        super().emit(record)
        if 'blocked' in record.getMessage():
            told.set()
async def main():
    asyncio.get_running_loop().slow_callback_duration = 0.01
    await asyncio.sleep(0.001)
    told.wait()
logging.getLogger('qtloop').addHandler(Watch())
qtloop.run(main(), debug=True)
";
    let ended = script(source, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("event loop blocked") && ended.stderr.contains("told.wait()"),
        "{}",
        ended.stderr
    );
}

fn what_needs_a_binding_says_so() {
    let source = "import qtloop
for use in (lambda: qtloop.EventLoop(host='binding'), lambda: qtloop.emitted(print)):
    try:
        use()
    except ImportError as error:
        print(error)
";
    let message = "qtloop needs a Qt binding: install one of PyQt6, PySide6, PyQt5, PySide2\n";
    assert_eq!(script(source, &[]).printed(), message.repeat(2));
}

fn a_quit_reaches_a_script() {
    let source = "import asyncio, os, qtloop, signal
async def main():
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.Event().wait()
    finally:
        print('told')
print(qtloop.run(main(), quit_signals=[signal.SIGTERM]))
";
    assert_eq!(script(source, &[]).printed(), "told\nNone\n");
}

fn new_event_loop_is_the_application_s() {
    let source = "import asyncio, qtloop, threading
ours = application_loop
print('before', qtloop.new_event_loop() is ours, qtloop.new_event_loop() is ours)
others = []
thread = threading.Thread(target=lambda: others.append(qtloop.new_event_loop()))
thread.start()
thread.join()
print('in another thread', others[0] is ours)
others[0].close()
async def main():
    other = qtloop.new_event_loop()
    print('while it runs', asyncio.get_running_loop() is ours, other is ours)
    other.close()
qtloop.run(main())
other = qtloop.new_event_loop()
print('afterwards', ours.is_closed(), other is ours, other.is_closed())
other.close()
";
    let directory = Directory::new();
    let printed = end(program("shared_loop").arg(directory.write("main.py", source))).printed();
    let expected = [
        "before True True",
        "in another thread False",
        "while it runs True False",
        "afterwards True False False",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

fn ctrl_c_interrupts_a_script() {
    let source = "import asyncio, qtloop
async def main():
    try:
        asyncio.get_running_loop().call_soon(lambda: print('ready', flush=True))
        await asyncio.Event().wait()
    finally:
        print('cancelled')
qtloop.run(main())
";
    let directory = Directory::new();
    let ended = interrupt(program("script").arg(directory.write("main.py", source)));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(130), "ready\ncancelled\n"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.trim_end().ends_with("KeyboardInterrupt"), "{}", ended.stderr);
}

fn rust_spawns_on_the_script_s_loop() {
    let source = "import asyncio, qtloop
async def main():
    try:
        await asyncio.Event().wait()
    finally:
        print('the script is told', flush=True)
qtloop.run(main())
";
    let directory = Directory::new();
    let printed = end(program("spawned").arg(directory.write("main.py", source))).printed();
    let expected = [
        "the task runs",
        "called from a thread",
        "the script is told",
        "the task is dropped",
        "finished: true",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

fn a_dropped_application_closes_its_loop() {
    assert_eq!(end(&mut program("dropped_app")).printed(), "the task is dropped\nclosed: True\n");
}

fn the_first_run_is_for_the_main_thread() {
    let ended = end(&mut program("other_thread"));
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("RuntimeError: no QCoreApplication exists: create one in the main thread"),
        "{ended:?}"
    );
}

fn run_gives_the_output() {
    assert_eq!(end(&mut program("outputs")).printed(), "1 awake\n");
}

fn run_gives_the_error() {
    let ended = end(&mut program("rust_error"));
    assert!(
        ended.code == Some(1) && ended.stderr.ends_with("ValueError: from Rust\n"),
        "{ended:?}"
    );
}

fn run_gives_the_error_of_a_coroutine() {
    let ended = end(&mut program("coroutine_error"));
    assert!(
        ended.code == Some(1) && ended.stderr.ends_with("LookupError: from Python\n"),
        "{ended:?}"
    );
}

fn run_ends_with_the_exit_code_of_system_exit() {
    let ended = end(&mut program("exit_code"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(5), ""));
}

fn a_panic_goes_on_after_the_run() {
    let ended = end(&mut program("panicking"));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(101), "the task is cancelled\n"),
        "{ended:?}"
    );
    assert_eq!(ended.stderr.matches("out of order").count(), 1, "{ended:?}");
}

fn run_cleans_up() {
    let printed = end(&mut program("left_over_tasks")).printed();
    let expected = ["the task is cancelled", "the generator is closed", "the Rust task is dropped"];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

fn an_error_of_the_end_comes_after_the_future_s() {
    let ended = end(&mut program("two_errors"));
    let printed = "SystemExit: 6, after Some(\"ValueError: from Rust\")\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(6), printed), "{ended:?}");
}

fn a_quit_ends_a_run() {
    let printed = end(&mut program("quit")).printed();
    assert_eq!(printed, "the future is dropped\nSystemExit: 0\n");
}

fn ctrl_c_interrupts_a_run() {
    let ended = interrupt(&mut program("interrupted"));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(130), "ready\nthe future is dropped\n"),
        "{ended:?}"
    );
    assert!(ended.stderr.trim_end().ends_with("KeyboardInterrupt"), "{}", ended.stderr);
}

fn the_example_ends_cleanly() {
    let printed = end(&mut program("example")).printed();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "python: the server ends");
    let ticks = lines[1].strip_prefix("rust: 100 lines came back, and the timer ticked ");
    let ticks = ticks.and_then(|it| it.strip_suffix(" times")).expect("the summary");
    assert!(lines.len() == 2 && ticks.parse::<u32>().is_ok_and(|ticks| ticks > 0), "{printed}");
}
