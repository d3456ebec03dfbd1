//! The ways in which a script may replace a page.

/// By what a soft navigation is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoftKind {
    /// Turbo 7 and 8.
    Turbo,
    /// Turbolinks 5.
    Turbolinks,
    /// htmx: a boosted link or form, or a request for a whole page.
    Htmx,
    /// htmx: a return to a page that is in its cache no more.
    HtmxReturn,
    /// htmx: a part of a page. What the response says may make it a page.
    HtmxPart,
    /// Inertia.
    Inertia,
    /// Unpoly.
    Unpoly,
    /// Next.js with its App Router.
    Next,
    /// An action of Next.js, whose response may lead to another page.
    NextAction,
    /// `…/__data.json`, which SvelteKit fetches where a link is pointed at.
    SvelteKit,
    /// `….data` of React Router and Remix.
    ReactRouter,
    /// `…/_payload.json`, which Nuxt fetches ahead.
    Nuxt,
    /// swup.
    Swup,
    /// jquery-pjax and its like.
    Pjax,
    /// Barba.
    Barba,
    /// Livewire's `wire:navigate`.
    Livewire,
    /// Astro's client router: a fetch without any mark.
    Plain,
}

/// A script's request that may be a soft navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftRequest {
    pub(super) kind: SoftKind,
    /// The page is fetched ahead.
    pub(super) ahead: bool,
    /// The method is POST.
    pub(super) post: bool,
}

impl SoftRequest {
    /// Whether a request for the page that the response leads to may follow, as the same view.
    pub fn is_action(self) -> bool {
        self.kind == SoftKind::NextAction
    }

    /// Whether the library sends the same where a link is only pointed at. Then a click may send it again.
    pub fn may_be_preload(self) -> bool {
        matches!(
            self.kind,
            SoftKind::Swup | SoftKind::Unpoly | SoftKind::Livewire | SoftKind::SvelteKit
        )
    }

    /// Whether it has no mark at all.
    pub fn is_plain(self) -> bool {
        self.kind == SoftKind::Plain
    }

    /// Whether htmx asks for a part of a page, which is a page if the response before has sent it there.
    pub(in super::super) fn is_htmx_part(self) -> bool {
        self.kind == SoftKind::HtmxPart && !self.post
    }

    /// Whether a click on the page's link asks for nothing if this came before. Then it never comes too late.
    pub fn replaces_the_click(self) -> bool {
        matches!(self.kind, SoftKind::SvelteKit | SoftKind::Nuxt)
    }

    /// Whether Turbo has made it.
    pub fn is_turbos(self) -> bool {
        self.kind == SoftKind::Turbo
    }

    /// Whether the library fetches the page ahead, and a click asks for it again.
    pub fn is_ahead_of_a_click(self) -> bool {
        self.ahead && !self.replaces_the_click()
    }

    /// Whether the router fetches a page ahead in pieces, some of them after the click (Next.js).
    pub fn comes_in_pieces(self) -> bool {
        self.kind == SoftKind::Next
    }

    /// Whether SvelteKit has made it.
    pub(in super::super) fn is_sveltekits(self) -> bool {
        self.kind == SoftKind::SvelteKit
    }

    /// A request for a page that is to be shown now, unless its response says otherwise.
    pub fn is_marked(self) -> bool {
        !self.ahead && !self.kind.is_seldom_a_page()
    }
}

impl SoftKind {
    /// Nearly all such requests are for no page, so that it is the response that makes one of them.
    pub(super) fn is_seldom_a_page(self) -> bool {
        matches!(self, SoftKind::HtmxPart | SoftKind::NextAction | SoftKind::Plain)
    }
}

/// Why a library's request is no soft navigation.
pub(super) type NoSoftNavigation = &'static str;
