//! What goes with a page view that is held, and with the report of the tracker script that ends the holding.

use std::time::Duration;

use crate::{client::ClientFrom, event::PageKey, page::Decision};

/// Who reports that a page was viewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouth {
    /// Who served the page, or saw it served.
    Server,
    /// A request for the pixel.
    Pixel,
    /// The tracker script.
    Script,
}

impl Mouth {
    const ALL: [Mouth; 3] = [Mouth::Server, Mouth::Pixel, Mouth::Script];
}

/// Goes with the event of a page view. From a server or a pixel it says that the event is held; from the
/// script, that it ends the holding of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The page that was viewed.
    pub page: PageKey,
    /// Who reports it.
    pub mouth: Mouth,
    /// How far the reports of one view may be apart.
    pub wait: Duration,
    /// The request about which it is decided when the holding ends; `None` if that is decided already.
    pub request: Option<HeldRequest>,
}

/// A request about which nothing is decided yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRequest {
    /// The decision that is taken if no script reports the view.
    pub decision: Decision,
    /// The method is POST, else it is GET.
    pub post: bool,
    /// The status of the response; 0 if it is not known.
    pub status: u16,
    /// Where the client's address came from.
    pub from: ClientFrom,
}

/// Stands for no request.
const NO_REQUEST: u8 = 0xff;

impl Hold {
    /// The length of the binary form.
    pub(in crate::delivery) const LEN: usize = 8 + 4 + 1 + 1 + 1 + 2 + 1;

    /// In milliseconds.
    pub(super) fn wait_millis(&self) -> u64 {
        u64::from(millis(self.wait))
    }

    /// The binary form, as it passes through the rings and stands in the queue.
    pub(in crate::delivery) fn encoded(&self) -> [u8; Hold::LEN] {
        let mut out = [0; Hold::LEN];
        out[..8].copy_from_slice(&self.page.to_number().to_le_bytes());
        out[8..12].copy_from_slice(&millis(self.wait).to_le_bytes());
        out[12] = self.mouth as u8;
        out[13] = NO_REQUEST;
        if let Some(request) = self.request {
            out[13] = request.decision as u8;
            out[14] = u8::from(request.post);
            out[15..17].copy_from_slice(&request.status.to_le_bytes());
            out[17] = request.from as u8;
        }
        out
    }

    /// Reads what [`encoded`](Self::encoded) wrote; `None` for any other bytes.
    pub(in crate::delivery) fn decode(bytes: &[u8]) -> Option<Self> {
        let (page, rest) = bytes.split_first_chunk()?;
        let (wait, rest) = rest.split_first_chunk()?;
        let [mouth, decision, post, low, high, from] = *rest else {
            return None;
        };
        let request = if decision == NO_REQUEST {
            None
        } else {
            Some(HeldRequest {
                decision: *Decision::ALL.get(usize::from(decision))?,
                post: post != 0,
                status: u16::from_le_bytes([low, high]),
                from: *ClientFrom::ALL.get(usize::from(from))?,
            })
        };
        Some(Hold {
            page: PageKey::from_number(u64::from_le_bytes(*page)),
            mouth: *Mouth::ALL.get(usize::from(mouth))?,
            wait: Duration::from_millis(u32::from_le_bytes(*wait).into()),
            request,
        })
    }

    /// Takes the binary form from the end of what an offer brought.
    pub(in crate::delivery) fn split(bytes: &[u8]) -> Option<(&[u8], Self)> {
        let (before, hold) = bytes.split_last_chunk::<{ Hold::LEN }>()?;
        Some((before, Hold::decode(hold)?))
    }
}

/// The configuration allows no longer wait than fits.
fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let request = HeldRequest {
            decision: Decision::Counted,
            post: true,
            status: 404,
            from: ClientFrom::Forwarded,
        };
        for mouth in Mouth::ALL {
            for request in [None, Some(request)] {
                let hold = Hold {
                    page: PageKey::of("example.com", "/a"),
                    mouth,
                    wait: Duration::from_millis(1_500),
                    request,
                };
                let bytes = [&b"before"[..], &hold.encoded()].concat();
                assert_eq!(Hold::split(&bytes), Some((&b"before"[..], hold)));
            }
        }
        assert_eq!(Hold::decode(&[0xfe; Hold::LEN]), None);
        assert_eq!(Hold::split(b"short"), None);
    }
}
