//! The Python package `qtloop`, served from the program itself.
//!
//! A finder at the head of `sys.meta_path` has the package's sources and the modules written in
//! Rust. An installed `qtloop` is thereby hidden: it would bring a second copy of the Rust half,
//! whose loops know nothing of this one's.

use std::env;
use std::ffi::c_int;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};

const PACKAGE: &str = "qtloop";

/// Every source: the file's path in the package, without `.py`, and its text.
static SOURCES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/package.rs"));

/// The modules written in Rust: their names in the package, and the functions by which Python knows
/// them.
static NATIVE: &[(&str, Init)] = &[
    ("_core", PyInit__core),
    #[cfg(feature = "qt-module")]
    ("_qt6", PyInit__qt6),
];

type Init = unsafe extern "C" fn() -> *mut ffi::PyObject;

unsafe extern "C" {
    fn PyInit__core() -> *mut ffi::PyObject;
    #[cfg(feature = "qt-module")]
    fn PyInit__qt6() -> *mut ffi::PyObject;
}

/// A module of the package.
#[derive(Clone, Copy)]
enum Module {
    Source { file: &'static str, text: &'static str },
    Native(Init),
}

impl Module {
    /// The module with this full name.
    fn find(full_name: &str) -> Option<Module> {
        let name = match full_name.strip_prefix(PACKAGE)? {
            "" => "__init__",
            rest => rest.strip_prefix('.')?,
        };
        let (file, folder) =
            (name.replace('.', "/"), format!("{}/__init__", name.replace('.', "/")));
        let native =
            NATIVE.iter().find(|(it, _)| *it == name).map(|(_, init)| Module::Native(*init));
        let source = || {
            let found = SOURCES.iter().find(|(it, _)| *it == file || *it == folder);
            found.map(|(file, text)| Module::Source { file, text })
        };
        native.or_else(source)
    }

    /// As `find`, for what must be there.
    fn get(full_name: &str) -> PyResult<Module> {
        Module::find(full_name).ok_or_else(|| {
            PyImportError::new_err(format!("this program has no module {full_name:?}"))
        })
    }

    fn is_package(self) -> bool {
        matches!(self, Module::Source { file, .. } if file.ends_with("__init__"))
    }
}

/// Makes `import qtloop` give the package of this program. Does nothing if it does so already.
///
/// # Errors
/// `ImportError` if another `qtloop` is imported already, and what the import of the package
/// raises.
pub fn serve(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let imported = sys.getattr("modules")?.cast_into::<PyDict>()?.get_item(PACKAGE)?;
    if let Some(package) = imported {
        let loader = package.getattr("__spec__").and_then(|spec| spec.getattr("loader"));
        if loader.is_ok_and(|loader| loader.is_instance_of::<Importer>()) {
            return Ok(());
        }
        return Err(PyImportError::new_err(format!(
            "{package} is imported already, but this program brings its own: start the program's \
                interpreter before that"
        )));
    }
    let program = env::current_exe()
        .map_or_else(|_| "program".to_owned(), |path| path.to_string_lossy().into_owned());
    sys.getattr("meta_path")?
        .cast_into::<PyList>()?
        .insert(0, Bound::new(py, Importer { program })?)?;
    py.import(PACKAGE)?;
    #[cfg(feature = "qt-module")]
    py.import("qtloop._qt")?.setattr("own", py.import("qtloop._qt6")?)?;
    Ok(())
}

/// Finder and loader. Sources are said to lie in the program as if that were a directory, as those
/// in a ZIP file are: there is no such file, so that Python asks the loader for the lines it shows.
#[pyclass(frozen, module = "qtloop")]
struct Importer {
    /// The program's path.
    program: String,
}

#[pymethods]
impl Importer {
    #[pyo3(signature = (fullname, path=None, target=None))]
    fn find_spec<'py>(
        this: &Bound<'py, Self>,
        fullname: &str,
        path: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _unused = (path, target);
        let Some(module) = Module::find(fullname) else { return Ok(None) };
        let options = PyDict::new(this.py());
        options.set_item("origin", this.get().origin(module))?;
        options.set_item("is_package", module.is_package())?;
        let spec = this.py().import("importlib.machinery")?.getattr("ModuleSpec")?;
        spec.call((fullname, this), Some(&options)).map(Some)
    }

    /// A module written in Rust; None leaves the others to Python.
    fn create_module<'py>(&self, spec: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Module::Native(init) = Module::get(spec.getattr("name")?.extract()?)? else {
            return Ok(None);
        };
        // SAFETY: the module's definition, a static, and a live spec. A new reference, or null with
        // an exception set.
        unsafe {
            let module = ffi::PyModule_FromDefAndSpec(init().cast(), spec.as_ptr());
            Bound::from_owned_ptr_or_err(spec.py(), module).map(Some)
        }
    }

    fn exec_module(&self, module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let name = module.name()?;
        match Module::get(name.to_str()?)? {
            Module::Native(init) => {
                // SAFETY: a live module that was made from this definition.
                succeeded(py, unsafe { ffi::PyModule_ExecDef(module.as_ptr(), init().cast()) })
            }
            source => {
                let code = self.compile(py, source)?;
                py.import("builtins")?.call_method1("exec", (code, module.dict())).map(drop)
            }
        }
    }

    /// The lines of a module, for tracebacks; None if it is not written in Python.
    fn get_source(&self, fullname: &str) -> PyResult<Option<&'static str>> {
        Ok(match Module::get(fullname)? {
            Module::Source { text, .. } => Some(text),
            Module::Native(_) => None,
        })
    }

    /// The compiled module, for `runpy`; None if it is not written in Python.
    fn get_code<'py>(&self, py: Python<'py>, fullname: &str) -> PyResult<Bound<'py, PyAny>> {
        self.compile(py, Module::get(fullname)?)
    }

    fn is_package(&self, fullname: &str) -> PyResult<bool> {
        Module::get(fullname).map(Module::is_package)
    }
}

impl Importer {
    /// Where a module is said to be.
    fn origin(&self, module: Module) -> String {
        match module {
            Module::Source { file, .. } => format!("{}/{PACKAGE}/{file}.py", self.program),
            Module::Native(_) => self.program.clone(),
        }
    }

    /// The code of a module; None if it is not written in Python.
    fn compile<'py>(&self, py: Python<'py>, module: Module) -> PyResult<Bound<'py, PyAny>> {
        let Module::Source { text, .. } = module else { return Ok(py.None().into_bound(py)) };
        let options = PyDict::new(py);
        options.set_item("dont_inherit", true)?;
        py.import("builtins")?.call_method(
            "compile",
            (text, self.origin(module), "exec"),
            Some(&options),
        )
    }
}

/// The exception that a C function has set if it did not return 0.
fn succeeded(py: Python<'_>, outcome: c_int) -> PyResult<()> {
    if outcome == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}
