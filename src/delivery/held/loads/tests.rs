use std::time::Duration;

use super::*;

const NOW: u64 = 1_795_687_200_000;
const WAIT: u64 = 10_000;

/// Loads, and how far their tickets have come.
struct Table {
    loads: Loads,
    next: u64,
}

fn hold(mouth: Mouth) -> Hold {
    Hold {
        page: PageKey::of("example.com", "/"),
        mouth,
        wait: Duration::from_millis(WAIT),
        request: None,
    }
}

fn page(path: &str) -> LoadKey {
    (7, PageKey::of("example.com", path))
}

fn view(ticket: u64) -> HeldView {
    HeldView {
        ticket: Ticket::of(ticket),
        request: None,
        shown: None,
    }
}

impl Table {
    fn new() -> Self {
        Table::within(HELD, REMEMBERED)
    }

    fn within(held: usize, remembered: usize) -> Self {
        Table {
            loads: Loads::within(Limits { held, remembered }),
            next: 0,
        }
    }

    /// What becomes of a view at that time after `NOW`, which is the next ticket.
    fn see(&mut self, mouth: Mouth, path: &str, at: u64) -> &'static str {
        let ticket = self.next;
        self.next += 1;
        match self
            .loads
            .view(page(path), NOW + at, NOW + at, &hold(mouth), view(ticket))
        {
            Viewed::Held => "held",
            Viewed::Tracked(_) => "tracked",
            Viewed::NoRoom(_) => "no room",
            Viewed::Due(_) => "due",
        }
    }

    /// The ticket of the view that a script's report releases.
    fn hear(&mut self, path: &str, at: u64) -> Option<u64> {
        let released = self.loads.report(page(path), NOW + at, &hold(Mouth::Script));
        released.map(|view| self.number(&view))
    }

    /// The tickets of the views that nobody has released by then.
    fn due(&mut self, at: u64) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some(view) = self.loads.take_due(NOW + at) {
            due.push(self.number(&view));
        }
        due
    }

    fn number(&self, view: &HeldView) -> u64 {
        let found = (0..self.next).find(|number| Ticket::of(*number) == view.ticket);
        found.expect("a ticket that was given")
    }
}

use Mouth::{Pixel, Server};

#[test]
fn the_script_releases_the_oldest_view_of_its_page() {
    let mut table = Table::new();
    assert_eq!(table.see(Server, "/a", 0), "held");
    assert_eq!(table.see(Server, "/a", 10), "held", "another tab");
    assert_eq!(table.see(Server, "/b", 20), "held");
    assert_eq!(table.loads.held(), 3);
    assert_eq!(table.loads.due_of(Ticket::of(1)), Some(NOW + 10 + WAIT + GRACE));
    assert_eq!(table.hear("/a", 500), Some(0));
    assert_eq!(table.hear("/c", 600), None);
    assert_eq!(table.loads.due_of(Ticket::of(0)), None);
    assert_eq!(table.loads.next_due(), Some(NOW + 10 + WAIT + GRACE));
    assert_eq!(table.due(10 + WAIT), [0; 0]);
    assert_eq!(table.due(20 + WAIT + GRACE), [1, 2]);
    assert_eq!((table.loads.held(), table.loads.next_due()), (0, None));
}

#[test]
fn a_report_that_comes_first_stands_for_one_view() {
    let mut table = Table::new();
    assert_eq!(table.hear("/a", 0), None);
    assert_eq!(table.see(Server, "/a", 300), "tracked");
    assert_eq!(
        table.see(Server, "/a", 400),
        "held",
        "a reload without the script"
    );
    assert_eq!(table.hear("/a", 500), Some(1));
}

#[test]
fn reports_of_one_view_are_no_further_apart_than_the_wait() {
    let mut table = Table::new();
    assert_eq!(table.hear("/a", 0), None);
    assert_eq!(table.see(Server, "/a", WAIT + 1), "held");
    assert_eq!(table.hear("/a", 2 * WAIT + 2), None);
    assert_eq!(table.due(2 * WAIT + 1 + GRACE), [0]);
    // A line of a log comes late, and its time is what counts.
    assert_eq!(table.hear("/b", 0), None);
    let late = hold(Server);
    let seen = table
        .loads
        .view(page("/b"), NOW + WAIT, NOW + REMEMBER - 1, &late, view(9));
    assert_eq!(seen, Viewed::Tracked(view(9)));
    let seen = table.loads.view(page("/c"), NOW, NOW + REMEMBER, &late, view(9));
    assert_eq!(seen, Viewed::Due(view(9)), "it has waited already");
}

#[test]
fn of_three_mouths_one_counts_whoever_is_first() {
    for [first, second] in [[Server, Pixel], [Pixel, Server]] {
        let mut table = Table::new();
        assert_eq!(table.see(first, "/a", 0), "held");
        assert_eq!(table.see(second, "/a", 100), "tracked");
        assert_eq!(table.see(first, "/a", 200), "held", "a reload");
        assert_eq!(table.hear("/a", 300), Some(0));
        assert_eq!(table.see(second, "/a", 400), "tracked");
        assert_eq!(table.due(200 + WAIT + GRACE), [2]);

        let mut table = Table::new();
        assert_eq!(table.see(first, "/a", 0), "held");
        assert_eq!(table.hear("/a", 100), Some(0));
        assert_eq!(
            table.see(second, "/a", 200),
            "tracked",
            "of the view that was released"
        );
    }
}

#[test]
fn what_finds_no_room_is_not_counted() {
    let mut table = Table::within(2, 2);
    assert_eq!(table.see(Server, "/a", 0), "held");
    assert_eq!(table.see(Server, "/b", 0), "held");
    assert_eq!(table.see(Server, "/c", 0), "no room");
    assert_eq!(table.hear("/a", 10), Some(0));
    assert_eq!(table.see(Server, "/c", 20), "held");
    // Reports that can't be remembered may be of any view.
    for path in ["/d", "/e", "/f"] {
        assert_eq!(table.hear(path, 30), None);
    }
    assert_eq!(table.hear("/b", 40), Some(1));
    assert_eq!(table.see(Server, "/f", 50), "no room");
    assert_eq!(table.due(REMEMBER), [3]);
    assert_eq!(table.see(Server, "/f", REMEMBER), "held");
}

#[test]
fn what_is_over_is_forgotten() {
    let mut table = Table::new();
    for n in 0..2_000 {
        table.see(Server, &format!("/{n}"), 0);
        table.hear(&format!("/{}", n * 2), 1);
    }
    assert_eq!(table.due(WAIT + GRACE).len(), 1_000);
    assert_eq!(table.loads.count, 1_999, "the script's reports are remembered");
    assert_eq!(table.due(REMEMBER + 1), [0; 0]);
    assert_eq!((table.loads.count, table.loads.pages.capacity()), (0, 0));
}
