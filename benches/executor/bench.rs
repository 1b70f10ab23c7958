//! Every workload on every runtime that can do it, as criterion's groups and functions.

#![allow(clippy::expect_used)] // What fails ends the bench.

use std::future::Future;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use qtloop::qt::Application;
use qtloop_bench::runtime::{Joins, Runtime};
use qtloop_bench::runtimes::{Calloop, ExecuteAsync, Pool, Qtloop, TokioLocal, TokioShared};
use qtloop_bench::workloads;
use rustix::time::{ClockId, clock_gettime};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// What is measured.
#[derive(Clone, Copy)]
enum Cost {
    /// How long it takes.
    Time,
    /// How long this thread is busy: for workloads that wait.
    Busy,
}

impl Cost {
    fn now(self) -> Duration {
        let clock = match self {
            Cost::Time => ClockId::Monotonic,
            Cost::Busy => ClockId::ThreadCPUTime,
        };
        let now = clock_gettime(clock);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}

/// Measures a workload from inside one run: to enter and to leave the runtime costs nothing here.
fn measure<R: Runtime, F: Future<Output = ()> + 'static>(
    group: &mut Group<'_>,
    runtime: R,
    cost: Cost,
    workload: impl Fn(R) -> F + Copy + 'static,
) {
    group.bench_function(runtime.name(), |bencher| {
        bencher.iter_custom(|iterations| {
            let inside = runtime.clone();
            runtime.run(async move {
                let began = cost.now();
                for _ in 0..iterations {
                    workload(inside.clone()).await;
                }
                cost.now() - began
            })
        });
    });
}

/// A group of benchmarks, each on all of the runtimes; the time is that of one of `operations`.
macro_rules! compare {
    (
        $criterion:expr, $name:literal, $operations:expr, $cost:expr, $workload:expr,
        [$($runtime:ty),+]
    ) => {{
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements($operations));
        $(measure(&mut group, <$runtime>::default(), $cost, $workload);)+
        group.finish();
    }};
}

fn spawn(c: &mut Criterion) {
    fn join<R: Joins>(runtime: R) -> impl Future<Output = ()> {
        workloads::spawn_and_join(runtime, 1_000)
    }
    compare!(
        c,
        "spawn",
        1_000,
        Cost::Time,
        |r| workloads::spawn(r, 1_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
    compare!(c, "spawn and join", 1_000, Cost::Time, join, [Qtloop, TokioLocal, TokioShared, Pool]);
}

fn yields(c: &mut Criterion) {
    compare!(
        c,
        "yield, 1 task",
        10_000,
        Cost::Time,
        |r| workloads::yields(r, 1, 10_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
    compare!(
        c,
        "yield, 100 tasks",
        10_000,
        Cost::Time,
        |r| workloads::yields(r, 100, 100),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
}

fn wakes(c: &mut Criterion) {
    compare!(
        c,
        "wake, own thread",
        10_000,
        Cost::Time,
        |r| workloads::wakes(r, 10_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
    compare!(
        c,
        "wake, coalesced",
        100_000,
        Cost::Time,
        |r| workloads::coalesced(r, 100, 1_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
    compare!(
        c,
        "wake, other thread",
        10_000,
        Cost::Time,
        |r| workloads::flood(r, 10_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
    compare!(
        c,
        "wake, other thread, answered",
        1_000,
        Cost::Time,
        |r| workloads::round_trips(r, 1_000),
        [Qtloop, TokioLocal, TokioShared, Pool, Calloop, ExecuteAsync]
    );
}

fn timers(c: &mut Criterion) {
    compare!(
        c,
        "timeout, cancelled",
        1_000,
        Cost::Time,
        |r| workloads::cancelled_sleeps(r, 1_000),
        [Qtloop, TokioLocal, TokioShared, Calloop]
    );
    compare!(
        c,
        "sleep 1-10 ms",
        1_000,
        Cost::Busy,
        |r| workloads::sleeps(r, 1_000),
        [Qtloop, TokioLocal, TokioShared, Calloop]
    );
    compare!(
        c,
        "sleep 0",
        1_000,
        Cost::Busy,
        |r| workloads::zero_sleeps(r, 1_000),
        [Qtloop, TokioLocal, TokioShared, Calloop]
    );
}

fn sockets(c: &mut Criterion) {
    compare!(
        c,
        "ping-pong, 1 pair",
        1_000,
        Cost::Time,
        |r| workloads::ping_pong(r, 1, 1_000),
        [Qtloop, TokioLocal, TokioShared, Calloop]
    );
    compare!(
        c,
        "ping-pong, 100 pairs",
        10_000,
        Cost::Time,
        |r| workloads::ping_pong(r, 100, 100),
        [Qtloop, TokioLocal, TokioShared, Calloop]
    );
}

fn main() {
    let _application = Application::new().expect("the only application object");
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    for group in [spawn, yields, wakes, timers, sockets] {
        group(&mut criterion);
    }
    criterion.final_summary();
}
