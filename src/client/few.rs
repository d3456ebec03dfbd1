//! A list that stays in place while it is short: what a request needs is short nearly always, and what a hostile one
//! needs must still fit somewhere.

use std::{fmt, ops::Deref};

/// Up to `N` values in place, all of them in a `Vec` beyond that.
pub(super) struct Few<T, const N: usize> {
    place: [T; N],
    len: usize,
    spilled: Vec<T>,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// An empty list; `blank` fills the places that are not used yet.
    pub(super) fn new(blank: T) -> Self {
        Few {
            place: [blank; N],
            len: 0,
            spilled: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.extend(&[value]);
    }

    #[inline]
    pub(super) fn extend(&mut self, values: &[T]) {
        let end = self.len + values.len();
        if self.spilled.is_empty()
            && let Some(place) = self.place.get_mut(self.len..end)
        {
            place.copy_from_slice(values);
        } else {
            self.spill(values);
        }
        self.len = end;
    }

    #[cold]
    fn spill(&mut self, values: &[T]) {
        if self.spilled.is_empty() {
            self.spilled.reserve(2 * (self.len + values.len()));
            self.spilled.extend_from_slice(&self.place[..self.len]);
        }
        self.spilled.extend_from_slice(values);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let value = self.last().copied()?;
        self.len -= 1;
        if !self.spilled.is_empty() {
            self.spilled.pop();
            if self.spilled.is_empty() {
                self.len = 0;
            }
        }
        Some(value)
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.spilled.is_empty() {
            &self.place[..self.len]
        } else {
            &self.spilled
        }
    }
}

impl<const N: usize> fmt::Write for Few<u8, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.extend(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_vec_on_both_sides_of_its_place() {
        let mut few = Few::<u8, 3>::new(0);
        let mut vec = Vec::new();
        for n in 0..8 {
            few.push(n);
            vec.push(n);
            assert_eq!(&*few, &*vec);
        }
        while let Some(n) = vec.pop() {
            assert_eq!(few.pop(), Some(n));
            assert_eq!(&*few, &*vec);
        }
        assert_eq!(few.pop(), None);
        few.extend(&[1, 2]);
        assert_eq!(&*few, [1, 2]);
    }
}
