//! `Inbox`: alone beside a `Vec`, and with several threads that push while one takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use qtloop::core::Inbox;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_thread_sees_a_vec(pushes in prop::collection::vec(0..5usize, 0..40)) {
        let inbox = Inbox::default();
        for pushes in pushes {
            (0..pushes).for_each(|n| inbox.push(n));
            prop_assert_eq!(inbox.is_filled(), pushes > 0);
            prop_assert_eq!(inbox.take_all(), Vec::from_iter(0..pushes));
            prop_assert!(!inbox.is_filled());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Each sender pushes that many items, while the receiver takes.
    #[test]
    fn no_item_is_lost_or_overtaken(sizes in prop::collection::vec(0..3000usize, 1..5)) {
        let (inbox, pushed) = (Inbox::default(), AtomicUsize::new(0));
        let mut taken = Vec::new();
        thread::scope(|scope| {
            for (sender, size) in sizes.iter().enumerate() {
                let (inbox, pushed) = (&inbox, &pushed);
                scope.spawn(move || {
                    for n in 0..*size {
                        inbox.push((sender, n));
                        pushed.fetch_add(1, Ordering::Release);
                    }
                });
            }
            while taken.len() < sizes.iter().sum() {
                let is_overdue = pushed.load(Ordering::Acquire) > taken.len();
                let is_filled = inbox.is_filled();
                assert!(is_filled || !is_overdue, "a push that has returned shows in the flag");
                if is_filled {
                    inbox.take_into(&mut taken);
                }
            }
        });
        prop_assert!(!inbox.is_filled());
        for (sender, size) in sizes.into_iter().enumerate() {
            let of_sender = taken.iter().filter(|(from, _)| *from == sender);
            let of_sender: Vec<_> = of_sender.map(|(_, n)| *n).collect();
            prop_assert_eq!(of_sender, Vec::from_iter(0..size));
        }
    }
}
