//! `futures::executor::LocalPool`.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;

use crate::runtime::{Joins, Runtime};

/// The pool. It has neither timers nor sockets.
#[derive(Clone)]
pub struct Pool {
    pool: Rc<RefCell<LocalPool>>,
    spawner: LocalSpawner,
}

impl Default for Pool {
    fn default() -> Pool {
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        Pool { pool: Rc::new(RefCell::new(pool)), spawner }
    }
}

impl Runtime for Pool {
    fn name(&self) -> String {
        "LocalPool".into()
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        self.pool.borrow_mut().run_until(main)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        self.spawner.spawn_local(future).expect("the pool is there");
    }
}

impl Joins for Pool {
    fn spawn_to_join<F: Future<Output = ()> + Send + 'static>(
        &self,
        future: F,
    ) -> impl Future<Output = ()> + 'static {
        self.spawner.spawn_local_with_handle(future).expect("the pool is there")
    }
}
