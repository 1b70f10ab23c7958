//! A Python coroutine awaits the signals of a QML item, in an application of Rust's: one process,
//! one application, one test.
#![allow(clippy::expect_used)]

use std::cell::RefCell;
use std::env;
use std::rc::Rc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use qmetaobject::QmlEngine;
use qtloop::python::{App, future_into_py, into_future};
use qtloop::qml::ObjectRef;

const ITEM: &str = "
import QtQml 2.0
QtObject {
    id: item
    signal told(int number, string text)
    property int count: 0
    property var timer: Timer {
        interval: 1; running: true; repeat: true
        onTriggered: { item.count += 1; item.told(item.count, 'times') }
    }
}
";

const SCRIPT: &std::ffi::CStr = c"
async def listen(told):
    return [tuple(await told()) for _ in range(3)]
";

fn main() {
    if env::var_os("QT_QPA_PLATFORM").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { env::set_var("QT_QPA_PLATFORM", "offscreen") };
    }
    // The engine makes the application object, which the loop must not outlive.
    let engine = Rc::new(RefCell::new(QmlEngine::new()));
    let loaded = Rc::clone(&engine);
    let app = App::new().expect("a Python");
    let heard = Rc::new(RefCell::new(Vec::new()));
    let result = Rc::clone(&heard);
    let outcome = app.run(async move {
        loaded.borrow_mut().load_data(ITEM.into());
        let item = ObjectRef::root(&loaded.borrow());
        result.replace(listen(item).await?);
        Ok(())
    });
    outcome.expect("the coroutine returns");
    let heard = heard.borrow();
    assert!(heard.len() == 3 && heard.is_sorted_by(|one, next| one.0 < next.0), "{heard:?}");
    assert!(heard.iter().all(|(number, text)| *number > 0 && text == "times"), "{heard:?}");
    println!("test a_coroutine_awaits_signals_of_qml ... ok");
}

/// What the coroutine heard.
async fn listen(item: ObjectRef) -> PyResult<Vec<(i64, String)>> {
    let heard = Python::attach(|py| {
        let script = PyModule::from_code(py, SCRIPT, c"script.py", c"script")?;
        into_future(script.getattr("listen")?.call1((Bound::new(py, Told { item })?,))?)
    })?;
    let heard = heard.await?;
    Python::attach(|py| heard.extract(py))
}

/// `await told()`: the arguments of the next emission.
#[pyclass(unsendable)]
struct Told {
    item: ObjectRef,
}

#[pymethods]
impl Told {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let told = self
            .item
            .emitted("told")
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        future_into_py(py, async {
            told.await.map_err(|error| PyRuntimeError::new_err(error.to_string()))
        })
    }
}
