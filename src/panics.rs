//! Where panics end: they must not unwind into Qt or Python, nor cost somebody else something.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `call`. A panic ends here: the panic hook has reported it. So does the panic of its value
/// when that is dropped; what that one panics with is leaked, or it might go on for ever.
pub(crate) fn contain(call: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else { return };
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(worse);
    }
}
