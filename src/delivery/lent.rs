//! A value that goes back to its owner when whoever it was lent to ends, by a panic too.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// Where a value is while it is not lent.
pub(super) struct Home<T>(Rc<Cell<Option<T>>>);

impl<T> Home<T> {
    pub(super) fn of(value: T) -> Self {
        Home(Rc::new(Cell::new(Some(value))))
    }

    /// Lends the value; none while it is lent already.
    pub(super) fn lend(&self) -> Option<Lent<T>> {
        let value = self.0.take()?;
        Some(Lent {
            value: Some(value),
            home: self.0.clone(),
        })
    }

    /// Gives the value up; none while it is lent.
    pub(super) fn leave(self) -> Option<T> {
        self.0.take()
    }
}

/// A value away from home.
pub(super) struct Lent<T> {
    /// There until this is dropped.
    value: Option<T>,
    home: Rc<Cell<Option<T>>>,
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let Some(value) = &self.value else {
            unreachable!("a lent value goes only when this is dropped")
        };
        value
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(value) = &mut self.value else {
            unreachable!("a lent value goes only when this is dropped")
        };
        value
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.home.set(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_value_comes_home_from_a_panic_as_it_was_left() {
        let home = Home::of(vec![1]);
        let mut lent = home.lend().unwrap();
        assert!(home.lend().is_none(), "it is lent once");
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            lent.push(2);
            panic!("with {}", lent.len());
        }));
        assert!(panicked.is_err());
        assert_eq!(home.lend().as_deref(), Some(&vec![1, 2]));
        assert_eq!(home.leave(), Some(vec![1, 2]));
    }
}
