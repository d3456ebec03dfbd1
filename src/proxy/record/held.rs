//! Page views that wait for the tracker script before they count.

use super::RequestRecord;
use crate::{
    delivery::{HeldRequest, Hold, Mouth},
    event::PageKey,
    page::{Decision, Verdict},
};

impl RequestRecord {
    /// What the page view of this verdict is held for; `None` if it goes at once. It is the page that the
    /// browser shows, whatever url the app gives it.
    pub(super) fn hold(&self, verdict: &Verdict, status: u16) -> Option<Hold> {
        let wait = self.context.live.borrow().page.holds(verdict)?;
        let seen = self.draft.sighting()?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        // A pixel's request is another one than its page's, and decided about.
        let is_pixel = verdict.decision == Decision::Dedicated;
        let request = HeldRequest {
            decision: verdict.decision,
            post: self.head.starts_with(b"POST "),
            status,
            from: self.client_from,
        };
        Some(Hold {
            page: PageKey::of(text(seen.host), text(seen.target)),
            mouth: if is_pixel { Mouth::Pixel } else { Mouth::Server },
            wait,
            request: (!is_pixel).then_some(request),
        })
    }
}
