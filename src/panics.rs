//! Where panics end: they must not unwind into Qt or Python, nor cost somebody else something.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `call`. A panic ends here: the panic hook has reported it. Its value is leaked, as to drop it might panic in turn.
pub(crate) fn contain(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        mem::forget(panic);
    }
}
