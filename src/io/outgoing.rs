//! What waits to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::socket::MAX_SLICES;

/// Chunks in the order in which they are to be written. The first may be written in part.
#[derive(Debug)]
pub struct Outgoing<C> {
    chunks: VecDeque<C>,
    /// How much of the first chunk is written already.
    written: usize,
    len: usize,
}

impl<C> Default for Outgoing<C> {
    fn default() -> Self {
        Outgoing { chunks: VecDeque::new(), written: 0, len: 0 }
    }
}

impl<C: AsRef<[u8]>> Outgoing<C> {
    /// Appends a chunk of which the first `written` bytes need not be written.
    pub fn push(&mut self, chunk: C, written: usize) {
        let rest = chunk.as_ref().len().saturating_sub(written);
        if rest == 0 {
            return;
        }
        if self.chunks.is_empty() {
            self.written = written;
        } else {
            debug_assert_eq!(written, 0, "only the first chunk can be written in part");
        }
        self.chunks.push_back(chunk);
        self.len += rest;
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hands the first chunks to `write`, as many as one system call takes.
    pub fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        if let [only] = self.chunks.as_slices().0
            && self.chunks.len() == 1
        {
            return write(&[IoSlice::new(&only.as_ref()[self.written..])]);
        }
        let chunks = self.chunks.iter().take(MAX_SLICES).enumerate();
        let from = |n: usize| if n == 0 { self.written } else { 0 };
        let slices: Vec<_> =
            chunks.map(|(n, chunk)| IoSlice::new(&chunk.as_ref()[from(n)..])).collect();
        write(&slices)
    }

    /// Notes that `count` bytes more are written. Returns the chunks that are done with, for the
    /// caller to drop.
    pub fn advance(&mut self, count: usize) -> Vec<C> {
        let mut count = count.min(self.len);
        self.len -= count;
        let mut done = Vec::new();
        while let Some(first) = self.chunks.front() {
            let rest = first.as_ref().len() - self.written;
            if count < rest {
                self.written += count;
                break;
            }
            count -= rest;
            self.written = 0;
            done.extend(self.chunks.pop_front());
        }
        done
    }

    /// Takes everything back, for the caller to drop.
    pub fn take_all(&mut self) -> VecDeque<C> {
        (self.written, self.len) = (0, 0);
        std::mem::take(&mut self.chunks)
    }

    /// The chunks that are not done with.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.chunks.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(outgoing: &Outgoing<Vec<u8>>) -> Vec<u8> {
        outgoing.with_slices(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    #[test]
    fn a_chunk_may_come_written_in_part() {
        let mut outgoing = Outgoing::default();
        outgoing.push(b"written".to_vec(), 7);
        assert!(outgoing.is_empty());
        outgoing.push(b"half done".to_vec(), 5);
        outgoing.push(b"!".to_vec(), 0);
        assert_eq!((outgoing.len(), text(&outgoing)), (5, b"done!".to_vec()));
        assert_eq!(outgoing.advance(4).len(), 1);
        assert_eq!(text(&outgoing), b"!");
        assert_eq!(outgoing.take_all().len(), 1);
        assert!(outgoing.is_empty());
    }

    #[test]
    fn one_call_is_given_no_more_than_it_takes() {
        let mut outgoing = Outgoing::default();
        (0..MAX_SLICES + 1).for_each(|_| outgoing.push(vec![0], 0));
        assert_eq!(outgoing.with_slices(|slices| slices.len()), MAX_SLICES);
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_out_in_order(
            steps in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..20), 0usize..30), 0..50,
            )
        ) {
            let (mut outgoing, mut model) = (Outgoing::default(), Vec::new());
            for (chunk, count) in steps {
                model.extend_from_slice(&chunk);
                outgoing.push(chunk, 0);
                outgoing.advance(count);
                model.drain(..count.min(model.len()));
                prop_assert_eq!(outgoing.len(), model.len());
                prop_assert_eq!(&text(&outgoing), &model);
            }
        }
    }
}
