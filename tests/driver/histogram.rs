//! `Histogram` beside a model that keeps every duration and looks through the bounds one by one.

use std::time::Duration;

use proptest::prelude::*;
use qtloop::driver::{BUCKETS, Histogram};

/// As many short ones as long ones, and many that lie on a bound or right beside it.
fn duration() -> impl Strategy<Value = Duration> {
    let near_a_bound =
        (0..30u32, 0..3u64).prop_map(|(doublings, offset)| (1_000 << doublings) - 1 + offset);
    let anywhere = (0..64u32, any::<u64>()).prop_map(|(shift, nanos)| nanos >> shift);
    prop_oneof![
        near_a_bound.prop_map(Duration::from_nanos),
        anywhere.prop_map(Duration::from_nanos),
        Just(Duration::ZERO),
        Just(Duration::MAX),
    ]
}

fn is_counted_by(bucket: usize, duration: Duration) -> bool {
    let exceeds = |bucket| Histogram::bound(bucket).is_some_and(|bound| duration > bound);
    !exceeds(bucket) && (0..bucket).all(exceeds)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_duration_is_counted_where_the_bounds_say(
        durations in prop::collection::vec(duration(), 0..100)
    ) {
        let mut histogram = Histogram::default();
        durations.iter().for_each(|duration| histogram.record(*duration));
        for (bucket, count) in histogram.counts().iter().enumerate() {
            let is_counted = |duration: &&Duration| is_counted_by(bucket, **duration);
            let expected = durations.iter().filter(is_counted).count();
            prop_assert_eq!(*count, expected as u64, "bucket {}", bucket);
        }
        let total = durations.iter().copied().fold(Duration::ZERO, Duration::saturating_add);
        prop_assert_eq!(histogram.total(), total);
        prop_assert_eq!(histogram.longest(), durations.iter().max().copied().unwrap_or_default());
    }
}

#[test]
fn the_bounds_double_from_a_microsecond_on() {
    let bounds: Vec<_> = (0..BUCKETS).map_while(Histogram::bound).collect();
    assert_eq!(bounds.len(), BUCKETS - 1);
    assert_eq!(bounds[0], Duration::from_micros(1));
    assert!(bounds.windows(2).all(|pair| pair[1] == 2 * pair[0]));
    assert!(bounds[BUCKETS - 2] > Duration::from_secs(16));
}
