//! A value that a task is lent, and that comes back when the task ends, even by a panic.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// Gives the value back when it goes.

pub(super) struct Lent<T> {
    /// There until it is given back, which is when this goes.
    value: Option<T>,
    home: Home<T>,
}

/// Where a lent value comes back to.

pub(super) struct Home<T>(Rc<Cell<Option<T>>>);

impl<T> Lent<T> {
    pub(super) fn new(value: T) -> (Self, Home<T>) {
        let home = Rc::new(Cell::new(None));
        let lent = Lent {
            value: Some(value),
            home: Home(home.clone()),
        };
        (lent, Home(home))
    }
}

impl<T> Home<T> {
    /// The value, if it has come back.
    pub(super) fn take(&self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("the value is there until this goes")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the value is there until this goes")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.home.0.set(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back_even_after_a_panic() {
        let (mut lent, home) = Lent::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            *lent += 1;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(home.take(), Some(2));
        assert_eq!(home.take(), None);
    }
}
