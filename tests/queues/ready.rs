//! `Ready` beside a model: plain queues, one for each place where an item can wait.

use proptest::prelude::*;
use qtloop::core::{Inbox, Ready};

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Send(usize),
    Find,
    BeginBatch,
    Pop,
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Push),
        2 => (1usize..8).prop_map(Step::Send),
        2 => Just(Step::Find),
        2 => Just(Step::BeginBatch),
        6 => Just(Step::Pop),
        1 => Just(Step::TakeAll),
    ]
}

/// More items of other threads than that are a flood.
const MOST: usize = 5;

#[derive(Default)]
struct Model {
    batch: Vec<usize>,
    /// The rest of a flood.
    rest: Vec<usize>,
    behind: Vec<usize>,
    found: Vec<usize>,
    sent: usize,
}

impl Model {
    fn begin_batch(&mut self) -> usize {
        let is_flood = !self.rest.is_empty() || std::mem::take(&mut self.sent) > MOST;
        if self.rest.is_empty() {
            self.rest = std::mem::take(&mut self.behind);
        }
        let taken = if is_flood { MOST.min(self.rest.len()) } else { self.rest.len() };
        self.batch = self.rest.drain(..taken).collect();
        self.batch.append(&mut self.found);
        self.batch.len()
    }

    fn pop(&mut self) -> Option<usize> {
        (!self.batch.is_empty()).then(|| self.batch.remove(0))
    }

    fn items(&self) -> Vec<usize> {
        [&self.batch[..], &self.rest, &self.behind, &self.found].concat()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ready_does_what_plain_queues_do(steps in prop::collection::vec(step(), 0..300)) {
        let (mut ready, mut model) = (Ready::default(), Model::default());
        for (n, step) in steps.into_iter().enumerate() {
            let n = 10 * n;
            match step {
                Step::Push => {
                    ready.push(n);
                    model.behind.push(n);
                }
                Step::Send(count) => {
                    let inbox = Inbox::default();
                    (n..n + count).for_each(|item| inbox.push(item));
                    ready.push_sent(&inbox);
                    model.behind.extend(n..n + count);
                    model.sent += count;
                }
                Step::Find => {
                    ready.find(n);
                    model.found.push(n);
                }
                Step::BeginBatch if ready.batch_is_done() => {
                    prop_assert_eq!(ready.begin_batch(MOST), model.begin_batch());
                }
                Step::BeginBatch => {}
                Step::Pop => prop_assert_eq!(ready.pop(), model.pop()),
                Step::TakeAll => {
                    prop_assert_eq!(Vec::from(ready.take_all()), model.items());
                    model.sent += model.rest.len();
                    model = Model { sent: model.sent, ..Model::default() };
                }
            }
            prop_assert_eq!(ready.iter().copied().collect::<Vec<_>>(), model.items());
            prop_assert_eq!(ready.len(), model.items().len());
            prop_assert_eq!(ready.is_empty(), model.items().is_empty());
            prop_assert_eq!(ready.batch_is_done(), model.batch.is_empty());
            let is_done = model.batch.is_empty() && model.rest.is_empty();
            prop_assert_eq!(ready.is_iteration_done(), is_done);
        }
    }
}
