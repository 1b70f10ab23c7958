//! Threads that send to a loop which falls asleep again and again: no wake is lost, no item, and no
//! sender's order.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use qtloop::core::Time;
use qtloop::driver::{Client, Driver, Ended, Strategy};
use qtloop::host::sim::SimHost;
use qtloop::host::{Exec, Host};

const STRATEGIES: [Strategy; 2] = [Strategy::Set, Strategy::Notifier];
/// A loop that needs so long has lost a wake; the busiest machine is sooner done.
const PATIENCE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce(&Loop) + Send>;
type Loop = Driver<SimHost, Worker>;

/// Does jobs.
#[derive(Default)]
struct Worker(RefCell<Weak<Loop>>);

impl Client for Worker {
    type Item = Job;
    type Suspended = ();

    fn run(&self, job: Job) -> ControlFlow<()> {
        let owner = self.0.borrow().upgrade();
        owner
            .inspect(|owner| job(owner))
            .map_or(ControlFlow::Break(()), |_| ControlFlow::Continue(()))
    }

    fn share(&self, _job: &Job) -> Option<Job> {
        None
    }
}

/// Runs a new loop, prepared by `prepare`, until `is_done`. One that sleeps on is woken by force,
/// to fail instead of to hang.
fn run_until(strategy: Strategy, prepare: impl FnOnce(&Loop), is_done: impl Fn() -> bool) {
    let driver = Driver::new(SimHost::with_real_fds(), Worker::default(), strategy)
        .map(Rc::new)
        .expect("fds are left");
    driver.client().0.replace(Rc::downgrade(&driver));
    prepare(&driver);
    thread::scope(|scope| {
        let (running, has_ended) = channel::<()>();
        let remote = driver.remote();
        scope.spawn(move || {
            if has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                remote.send(Box::new(|_| panic!("a wake was lost")));
                remote.wake();
            }
        });
        while !is_done() {
            assert!(matches!(driver.run(Exec::Drain), Ok(Ended::Stopped)));
        }
        drop(running);
    });
    assert_eq!(driver.pending(), (0, 0));
}

/// How many of its jobs were done for each sender, and how many are still to come.
struct Tally {
    done: Vec<AtomicUsize>,
    missing: AtomicUsize,
    /// The run ends every so many jobs, and another follows.
    run_length: usize,
}

impl Tally {
    fn count(&self, driver: &Loop, sender: usize, n: usize) {
        assert_eq!(
            self.done[sender].fetch_add(1, Ordering::SeqCst),
            n,
            "in the order of sender {sender}"
        );
        let missing = self.missing.fetch_sub(1, Ordering::SeqCst) - 1;
        if missing.is_multiple_of(self.run_length) {
            driver.set_stopping(true);
        }
    }
}

/// Lets the sender wait before its n-th job.
type Wait = fn(tally: &Tally, sender: usize, n: usize);

fn all_arrive(senders: usize, jobs_each: usize, run_length: usize, wait: Wait) {
    for strategy in STRATEGIES {
        let done = (0..senders).map(|_| AtomicUsize::new(0)).collect();
        let tally =
            Arc::new(Tally { done, missing: AtomicUsize::new(senders * jobs_each), run_length });
        let start = |driver: &Loop| {
            (0..senders).for_each(|sender| drop(send(driver, &tally, sender, jobs_each, wait)))
        };
        run_until(strategy, start, || tally.missing.load(Ordering::SeqCst) == 0);
    }
}

/// A thread that sends jobs. Not joined: if the loop fails, some wait for ever.
fn send(
    driver: &Loop,
    tally: &Arc<Tally>,
    sender: usize,
    jobs: usize,
    wait: Wait,
) -> JoinHandle<()> {
    let (remote, tally) = (Arc::clone(driver.remote()), Arc::clone(tally));
    thread::spawn(move || {
        for n in 0..jobs {
            wait(&tally, sender, n);
            let tally = Arc::clone(&tally);
            remote.send(Box::new(move |driver| tally.count(driver, sender, n)));
        }
    })
}

/// Until the loop has done the job before: then it is about to fall asleep.
fn for_the_answer(tally: &Tally, sender: usize, n: usize) {
    while tally.done[sender].load(Ordering::SeqCst) < n {
        thread::yield_now();
    }
}

#[test]
fn a_flood_arrives() {
    all_arrive(4, 20_000, usize::MAX, |_, _, _| {});
}

#[test]
fn a_loop_that_falls_asleep_after_each_job_is_woken_each_time() {
    all_arrive(1, 5_000, usize::MAX, for_the_answer);
    all_arrive(3, 3_000, usize::MAX, for_the_answer);
}

#[test]
fn the_moment_of_falling_asleep_is_hit_from_all_sides() {
    // After the answer, each sender lets another number of moments pass each time.
    all_arrive(2, 5_000, usize::MAX, |tally, sender, n| {
        for_the_answer(tally, sender, n);
        (0..n * (sender + 7) % 600).for_each(|_| std::hint::spin_loop());
    });
}

#[test]
fn what_is_sent_between_two_runs_is_done_in_the_next() {
    all_arrive(3, 3_000, 7, |_, _, _| {});
    all_arrive(2, 1_500, 1, for_the_answer);
}

/// Runs the host inside the job, until another thread ends that.
fn nest(driver: &Loop) {
    let remote = Arc::clone(driver.remote());
    let sender = thread::spawn(move || remote.send(Box::new(|driver| driver.host().quit())));
    driver.host().run(Exec::Drain).expect("the nested run is ended");
    assert!(sender.join().is_ok());
    driver.set_stopping(true);
}

#[test]
fn a_nested_run_is_woken() {
    for strategy in STRATEGIES {
        let prepare: [fn(&Loop); 3] = [
            |driver| driver.call_soon(Box::new(nest)),
            |driver| {
                driver.call_at(Time::from_secs(1.0), Box::new(nest));
            },
            |driver| {
                let remote = Arc::clone(driver.remote());
                driver.call_soon(Box::new(|_| {
                    drop(thread::spawn(move || remote.send(Box::new(nest))))
                }));
            },
        ];
        for prepare in prepare {
            let runs = std::cell::Cell::new(0);
            run_until(strategy, prepare, || runs.replace(1) == 1);
        }
    }
}

#[test]
fn a_remote_outlives_its_loop() {
    for strategy in STRATEGIES {
        let driver = Driver::new(SimHost::with_real_fds(), Worker::default(), strategy)
            .expect("fds are left");
        let remote = Arc::clone(driver.remote());
        drop(driver);
        remote.wake();
        remote.send(Box::new(|_| panic!("a loop that is gone has done a job")));
    }
}
