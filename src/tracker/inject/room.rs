//! Bounds the memory that pages take while they are rewritten, per worker.

use std::{cell::Cell, rc::Rc};

/// What a worker's pages may take together, in bytes. A page beyond it goes on as it came.
pub const ROOM: usize = 64 << 20;

/// What each page takes beside its coding: its head, as it came and decoded, and the parser.
const PAGE: usize = 384 << 10;

/// A worker's room.
#[derive(Debug, Default, Clone)]
pub(super) struct Rooms(Rc<Cell<usize>>);

/// A page's part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    rooms: Rooms,
    size: usize,
}

impl Rooms {
    /// Takes a part for a page whose coding takes so many bytes. `None`: there is no room.
    pub(super) fn take(&self, coding: usize) -> Option<Room> {
        let size = PAGE + coding;
        let taken = self.0.get() + size;
        (taken <= ROOM).then(|| {
            self.0.set(taken);
            Room {
                rooms: self.clone(),
                size,
            }
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.0.set(self.rooms.0.get() - self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_take_no_more_than_there_is_and_give_it_back() {
        let rooms = Rooms::default();
        let mut taken: Vec<Room> = std::iter::from_fn(|| rooms.take(10 << 20)).collect();
        assert_eq!(taken.len(), 6);
        assert!(rooms.take(0).is_some(), "a smaller one fits");
        taken.pop();
        assert!(rooms.take(10 << 20).is_some());
        drop(taken);
        assert_eq!(rooms.0.get(), 0);
    }
}
