//! What the heads of request and response may leave open, and what settles it.

/// What is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// What the path's last 200 was: a 304 has no type.
    LastType,
    /// How the body begins.
    BodyStart,
    /// Whether the response before sent the script to this page.
    Announcement,
    /// Whether the page was fetched ahead before, for this visitor.
    FetchedAhead,
}

/// What is known beside the two heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// Whether the path's last 200 was a document.
    LastType(bool),
    /// The body's first bytes, their coding undone.
    BodyStart(&'a [u8]),
    /// The response before has sent the script to this page.
    Announced,
    /// The page was fetched ahead before.
    FetchedAhead,
}
