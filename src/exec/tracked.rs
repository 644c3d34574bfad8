//! A value that knows how often it may have changed, so that what is computed from it can be kept.
//!
//! Invariant: the count grows whenever somebody could have written to the value.

use std::ops::{Deref, DerefMut};

/// A value with a count of its changes.
#[derive(Debug, Default)]
pub(crate) struct Tracked<T> {
    value: T,
    changes: u64,
}

impl<T> Tracked<T> {
    /// How often somebody has asked to write to it.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changes += 1;
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_counts_and_a_read_does_not() {
        let mut list = Tracked::<Vec<u8>>::default();
        assert_eq!((list.len(), list.changes()), (0, 0));
        list.push(2);
        assert_eq!((list.len(), list.changes()), (1, 1));
    }
}
