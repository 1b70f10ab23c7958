//! `Ready` beside a model: two plain queues, the batch under way and what waits behind it.

use proptest::prelude::*;
use qtloop::core::Ready;

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    BeginBatch,
    Pop,
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Push),
        2 => Just(Step::BeginBatch),
        6 => Just(Step::Pop),
        1 => Just(Step::TakeAll),
    ]
}

#[derive(Default)]
struct Model {
    batch: Vec<usize>,
    behind: Vec<usize>,
}

impl Model {
    fn begin_batch(&mut self) -> usize {
        self.batch.append(&mut self.behind);
        self.batch.len()
    }

    fn pop(&mut self) -> Option<usize> {
        (!self.batch.is_empty()).then(|| self.batch.remove(0))
    }

    fn items(&self) -> Vec<usize> {
        [&self.batch[..], &self.behind].concat()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ready_does_what_two_queues_do(steps in prop::collection::vec(step(), 0..300)) {
        let (mut ready, mut model) = (Ready::default(), Model::default());
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push => {
                    ready.push(n);
                    model.behind.push(n);
                }
                Step::BeginBatch => prop_assert_eq!(ready.begin_batch(), model.begin_batch()),
                Step::Pop => prop_assert_eq!(ready.pop(), model.pop()),
                Step::TakeAll => prop_assert_eq!(Vec::from(ready.take_all()), std::mem::take(&mut model).items()),
            }
            prop_assert_eq!(ready.iter().copied().collect::<Vec<_>>(), model.items());
            prop_assert_eq!(ready.len(), model.items().len());
            prop_assert_eq!(ready.is_empty(), model.items().is_empty());
            prop_assert_eq!(ready.batch_is_done(), model.batch.is_empty());
        }
    }
}
