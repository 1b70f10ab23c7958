//! `Watches` beside a model: one ordered map from fd and direction to the item.

use std::collections::BTreeMap;

use proptest::prelude::*;
use qtloop::core::{Direction, Fd, Interest, Watches};

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(Fd, Direction),
    Remove(Fd, Direction),
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    let fd = || prop_oneof![8 => 0..6i32, 1 => any::<Fd>()];
    let direction = || prop::sample::select(&DIRECTIONS[..]);
    prop_oneof![
        10 => (fd(), direction()).prop_map(|(fd, direction)| Step::Insert(fd, direction)),
        10 => (fd(), direction()).prop_map(|(fd, direction)| Step::Remove(fd, direction)),
        1 => Just(Step::TakeAll),
    ]
}

#[derive(Default)]
struct Model(BTreeMap<(Fd, bool), usize>);

impl Model {
    fn interest(&self, fd: Fd) -> Interest {
        let interests =
            DIRECTIONS.map(|direction| match self.0.contains_key(&key(fd, direction)) {
                true => Interest::from(direction),
                false => Interest::NONE,
            });
        interests[0] | interests[1]
    }

    fn interests(&self) -> BTreeMap<Fd, u32> {
        self.0.keys().map(|(fd, _)| (*fd, self.interest(*fd).to_abi())).collect()
    }

    fn items(&self) -> Vec<usize> {
        sorted(self.0.values().copied())
    }
}

fn key(fd: Fd, direction: Direction) -> (Fd, bool) {
    (fd, direction == Direction::Write)
}

fn sorted(items: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort_unstable();
    items
}

fn compare(watches: &Watches<usize>, model: &Model) -> Result<(), TestCaseError> {
    let interests: BTreeMap<_, _> =
        watches.iter().map(|(fd, interest)| (fd, interest.to_abi())).collect();
    prop_assert_eq!(watches.len(), interests.len(), "each fd is shown once");
    prop_assert_eq!(&interests, &model.interests());
    prop_assert_eq!(watches.is_empty(), model.0.is_empty());
    prop_assert_eq!(sorted(watches.items().copied()), model.items());
    for fd in interests.into_keys().chain(0..6) {
        prop_assert_eq!(watches.interest(fd), model.interest(fd));
        for direction in DIRECTIONS {
            prop_assert_eq!(watches.get(fd, direction), model.0.get(&key(fd, direction)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn watches_do_what_a_map_does(steps in prop::collection::vec(step(), 0..150)) {
        let (mut watches, mut model) = (Watches::default(), Model::default());
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(fd, direction) => {
                    let before = model.0.insert(key(fd, direction), n);
                    prop_assert_eq!(watches.insert(fd, direction, n), before);
                }
                Step::Remove(fd, direction) => {
                    let removed = model.0.remove(&key(fd, direction));
                    prop_assert_eq!(watches.remove(fd, direction), removed);
                }
                Step::TakeAll => {
                    let items = std::mem::take(&mut model).items();
                    prop_assert_eq!(sorted(watches.take_all()), items);
                }
            }
            compare(&watches, &model)?;
        }
    }

    #[test]
    fn interests_are_sets(left in 0..4u32, right in 0..4u32, more in any::<u32>()) {
        let (one, other) = (Interest::from_abi(left), Interest::from_abi(right));
        prop_assert_eq!((one | other).to_abi(), left | right);
        prop_assert_eq!((one & other).to_abi(), left & right);
        prop_assert_eq!(Interest::from_abi(more & !3 | left), one);
        prop_assert_eq!(one.is_none(), left == 0);
        for direction in DIRECTIONS {
            let bit = Interest::from(direction).to_abi();
            prop_assert_eq!(one.has(direction), left & bit != 0);
            prop_assert_eq!(one.without(direction).to_abi(), left & !bit);
        }
    }
}
