//! The interpreter: started once in a process, with the virtual environment that the program is to
//! use.

use std::env;
use std::error;
use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::fmt;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::ffi;
use pyo3::prelude::*;

use super::package;

/// The thread that started the interpreter, which Python takes for the main one; `None` if we have
/// not.
static STARTED_BY: Mutex<Option<ThreadId>> = Mutex::new(None);

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// The interpreter did not start. The text says why.
    Start(String),
    /// Python code raised an exception.
    Python(PyErr),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Start(reason) => write!(f, "Python did not start: {reason}"),
            Error::Python(error) => error.fmt(f),
        }
    }
}

impl error::Error for Error {}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Error {
        Error::Python(error)
    }
}

/// How to start the interpreter, once in a process.
///
/// Otherwise it is as the command `python` starts it: `PYTHON...` variables of the environment
/// count, and `site` is imported. In a virtual environment `sys.executable` is that environment's
/// `python`, and `multiprocessing` starts it. Without one it is this program.
///
/// ```no_run
/// use qtloop::python::Interpreter;
///
/// Interpreter::new().venv("/opt/app/venv").start()?;
/// # Ok::<(), qtloop::python::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Interpreter {
    venv: Option<PathBuf>,
    args: Option<Vec<OsString>>,
}

impl Interpreter {
    /// The defaults: the virtual environment that `VIRTUAL_ENV` names, else the Python
    /// installation; the program's arguments.
    pub fn new() -> Interpreter {
        Interpreter::default()
    }

    /// The virtual environment, a directory with a `pyvenv.cfg`, to use if the environment variable
    /// `VIRTUAL_ENV` names none.
    pub fn venv(mut self, directory: impl Into<PathBuf>) -> Interpreter {
        self.venv = Some(directory.into());
        self
    }

    /// `sys.argv`. Without this, the program's own arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Interpreter {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Starts the interpreter, and makes `import qtloop` give the package that this program
    /// carries. An interpreter that runs already is used as it is.
    ///
    /// Python takes the calling thread for the main one, which alone handles signals: call it in
    /// the program's main thread. Ctrl-C is Python's from then on.
    ///
    /// # Errors
    /// [`Error::Start`] if the virtual environment does not suit or Python cannot start, as when
    /// its standard library is not found; `ImportError` if another `qtloop` is imported already.
    pub fn start(self) -> Result<(), Error> {
        // Held while Python starts: another thread that wants the same has to wait, and nothing
        // that `site` imports can come here.
        let mut started_by = STARTED_BY.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: may be asked at any time.
        if unsafe { ffi::Py_IsInitialized() } == 0 {
            self.initialize().map_err(Error::Start)?;
            *started_by = Some(thread::current().id());
        }
        drop(started_by);
        Python::attach(package::serve).map_err(Error::Python)
    }

    /// Initializes Python and lets go of the GIL.
    fn initialize(&self) -> Result<(), String> {
        let mut config = Config::new();
        let active = env::var_os("VIRTUAL_ENV").filter(|venv| !venv.is_empty()).map(PathBuf::from);
        if let Some(venv) = active.or_else(|| self.venv.clone()) {
            config.set_executable(&venv_python(&venv)?)?;
        }
        let args = self.args.clone().unwrap_or_else(|| env::args_os().collect());
        config.set_args(&args)?;
        config.initialize()?;
        // SAFETY: this thread has the GIL since Python is initialized. `attach` takes it again.
        unsafe { ffi::PyEval_SaveThread() };
        // The first import of `threading` decides which thread is the main one (before Python
        // 3.13).
        Python::attach(|py| py.import("threading").map(drop))
            .map_err(|_| "the standard library is incomplete".to_owned())
    }
}

/// Whether this thread started the interpreter, and so may end it.
pub fn is_starter() -> bool {
    *STARTED_BY.lock().unwrap_or_else(PoisonError::into_inner) == Some(thread::current().id())
}

/// The interpreter of a virtual environment, beside whose `pyvenv.cfg` Python finds everything
/// else.
fn venv_python(venv: &Path) -> Result<PathBuf, String> {
    let told = |what: &str| format!("the virtual environment {} {what}", venv.display());
    let config = fs::read_to_string(venv.join("pyvenv.cfg"))
        .map_err(|error| told(&format!("has no pyvenv.cfg: {error}")))?;
    let ours = version();
    if let Some(theirs) = venv_version(&config).filter(|theirs| *theirs != ours) {
        return Err(told(&format!(
            "is one of Python {theirs}, but this program's Python is {ours}"
        )));
    }
    let names = ["bin/python", "bin/python3"];
    let mut candidates = names.iter().map(|name| venv.join(name));
    candidates.find(|python| python.exists()).ok_or_else(|| told("has no bin/python"))
}

/// Major and minor version of the Python that is linked, as in `3.13`.
fn version() -> String {
    // SAFETY: a static string, which may be asked for before Python is initialized.
    let version = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
    minor(&version)
}

/// The same of a virtual environment, if it says so: `version` by Python's own `venv`,
/// `version_info` by others.
fn venv_version(config: &str) -> Option<String> {
    let entries = config.lines().filter_map(|line| line.split_once('='));
    let mut versions = entries.filter(|(key, _)| matches!(key.trim(), "version" | "version_info"));
    versions.next().map(|(_, version)| minor(version.trim()))
}

fn minor(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

/// Python's configuration.
struct Config(Box<MaybeUninit<ffi::PyConfig>>);

impl Config {
    /// That of the command `python`, but the arguments are the program's.
    fn new() -> Config {
        let mut config = Config(Box::new(MaybeUninit::zeroed()));
        // SAFETY: initializes all fields; the two that are set then are plain numbers.
        unsafe {
            ffi::PyConfig_InitPythonConfig(config.raw());
            (*config.raw()).parse_argv = 0;
            (*config.raw()).install_signal_handlers = 1;
        }
        config
    }

    fn raw(&mut self) -> *mut ffi::PyConfig {
        self.0.as_mut_ptr()
    }

    fn set_executable(&mut self, path: &Path) -> Result<(), String> {
        let path = c_string(path.as_os_str())?;
        let config = self.raw();
        // SAFETY: a field of this configuration, and a string that ends with NUL, which is copied.
        check(unsafe {
            ffi::PyConfig_SetBytesString(config, &raw mut (*config).executable, path.as_ptr())
        })
    }

    fn set_args(&mut self, args: &[OsString]) -> Result<(), String> {
        let args = args.iter().map(|arg| c_string(arg)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
        // SAFETY: so many strings that end with NUL, which are copied.
        check(unsafe {
            ffi::PyConfig_SetBytesArgv(
                self.raw(),
                pointers.len().cast_signed(),
                pointers.as_mut_ptr(),
            )
        })
    }

    /// Initializes Python. This thread then has the GIL.
    fn initialize(&mut self) -> Result<(), String> {
        // SAFETY: a complete configuration, and Python does not run.
        check(unsafe { ffi::Py_InitializeFromConfig(self.raw()) })
    }
}

fn c_string(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|_| format!("{} has a NUL byte in it", text.display()))
}

/// What Python says went wrong, if it did.
fn check(status: ffi::PyStatus) -> Result<(), String> {
    // SAFETY: a status that Python returned.
    if unsafe { ffi::PyStatus_Exception(status) } == 0 {
        return Ok(());
    }
    // SAFETY: the texts of a status are null or static strings.
    let text = |text: *const c_char| unsafe {
        NonNull::new(text.cast_mut()).map(|text| CStr::from_ptr(text.as_ptr()).to_string_lossy())
    };
    let message = text(status.err_msg).unwrap_or("no reason given".into());
    Err(text(status.func)
        .map_or_else(|| message.to_string(), |function| format!("{function}: {message}")))
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: initialized by `new`.
        unsafe { ffi::PyConfig_Clear(self.raw()) };
    }
}
