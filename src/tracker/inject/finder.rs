//! Finds the place for the script in a page that comes in pieces: right after `<head>` opens; in a page
//! without a head, and where all of the page is to be looked through first, before `</body>`.
//!
//! `lol_html` reads the page, and changes nothing: where it fails, the bytes are still as the app sent them.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
};

use encoding_rs::{Encoding, UTF_8};
use lol_html::{
    AsciiCompatibleEncoding, ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings, OutputSink,
    Selector, Settings, html_content::Element,
};

/// Bytes of an unfinished tag that are kept.
const UNFINISHED: usize = 64 * 1024;

/// How many bytes browsers look through for `<meta charset>`, at least.
const CHARSET_WITHIN: usize = 1024;

/// What the head can have: another element ends it, if `</head>` is missing.
const OF_HEAD: [&str; 11] = [
    "base", "basefont", "bgsound", "link", "meta", "noframes", "noscript", "script", "style", "template",
    "title",
];

/// Whether a script is the tracker's, by its `src` and `data-domain`.
pub(super) type IsTracker = Rc<dyn Fn(Option<&str>, Option<&str>) -> bool>;

/// See the module.
pub(super) struct Finder {
    /// `None` once nothing is left to be found.
    parser: Option<HtmlRewriter<'static, Passed>>,
    findings: Rc<RefCell<Findings>>,
    passed: Rc<Cell<usize>>,
}

/// What was found so far. Positions are in bytes from the page's start.
#[derive(Debug, Default)]
struct Findings {
    section: Section,
    /// Where the head's content begins.
    head: Option<usize>,
    /// The end of a `<meta>` that says the charset.
    charset_end: Option<usize>,
    /// Where the body's end tag begins.
    body_end: Option<usize>,
    /// The contents of `<meta http-equiv="Content-Security-Policy">`.
    policies: Vec<String>,
    has_tracker: bool,
    /// The head is no place.
    last: bool,
    /// Nothing more is looked for.
    over: bool,
}

/// How far the page has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// Neither the head nor content has begun.
    #[default]
    Start,
    Head,
    /// There is no head, and content has begun.
    Headless,
    /// Only the tracker is looked for.
    Scripts,
}

/// What is known of the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Not yet known. As much of the page as this can go on.
    Later {
        /// In bytes from the page's start.
        passed: usize,
    },
    /// Here, in bytes from the page's start.
    At(usize),
    /// Nowhere.
    Nowhere,
}

impl Finder {
    /// `charset`: what the page's type says of it. `last`: the head is no place.
    pub(super) fn new(charset: &'static Encoding, is_tracker: IsTracker, last: bool) -> Self {
        let finder = Finder::looking(Section::Start, charset, is_tracker);
        finder.findings.borrow_mut().last = last;
        finder
    }

    /// Whether these bytes of a page have a tracker's script.
    pub(super) fn has_tracker(page: &[u8], is_tracker: IsTracker) -> bool {
        let mut finder = Finder::looking(Section::Scripts, UTF_8, is_tracker);
        finder.feed(page);
        finder.findings.borrow().has_tracker
    }

    fn looking(section: Section, charset: &'static Encoding, is_tracker: IsTracker) -> Self {
        let findings = Rc::new(RefCell::new(Findings {
            section,
            ..Findings::default()
        }));
        let passed = Rc::new(Cell::new(0));
        let read = {
            let findings = Rc::clone(&findings);
            move |element: &mut Element<'_, '_>| read(&findings, &is_tracker, element)
        };
        let everything: Selector = "*".parse().expect("this is a selector");
        let encoding = AsciiCompatibleEncoding::new(charset).unwrap_or_else(AsciiCompatibleEncoding::utf_8);
        let settings = Settings::new()
            .with_encoding(encoding)
            .with_memory_settings(
                MemorySettings::new()
                    .with_preallocated_parsing_buffer_size(0)
                    .with_max_allowed_memory_usage(UNFINISHED + 32 * 1024),
            )
            .append_element_content_handler((
                Cow::Owned(everything),
                ElementContentHandlers::default().element(read),
            ));
        Finder {
            parser: Some(HtmlRewriter::new(settings, Passed(Rc::clone(&passed)))),
            findings,
            passed,
        }
    }

    /// Reads on.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if let Some(parser) = &mut self.parser
            && parser.write(piece).is_err()
        {
            self.parser = None;
            let mut findings = self.findings.borrow_mut();
            if !findings.over {
                // The parser can't be sure where markup begins, or a tag is too long.
                (findings.head, findings.body_end) = (None, None);
                findings.over = true;
            }
        }
    }

    /// The page has ended, or no more of it is to be looked through.
    pub(super) fn end(&mut self) {
        self.parser = None;
        self.findings.borrow_mut().over = true;
    }

    /// Where the script goes, as far as that is known.
    pub(super) fn place(&self, tag_length: usize) -> Place {
        let findings = self.findings.borrow();
        match (findings.head, findings.body_end) {
            _ if findings.has_tracker => Place::Nowhere,
            _ if !findings.over => Place::Later {
                passed: if findings.section == Section::Headless {
                    self.passed.get()
                } else {
                    0
                },
            },
            (Some(head), _) => {
                // The charset must stay where browsers look for it.
                let pushed = findings
                    .charset_end
                    .filter(|end| *end <= CHARSET_WITHIN && end + tag_length > CHARSET_WITHIN);
                Place::At(pushed.unwrap_or(head))
            }
            (None, Some(end)) => Place::At(end),
            (None, None) => Place::Nowhere,
        }
    }

    /// The policies that the page itself has.
    pub(super) fn policies(&self) -> Vec<String> {
        self.findings.borrow().policies.clone()
    }

    /// Whether the head has opened.
    pub(super) fn has_head(&self) -> bool {
        self.findings.borrow().head.is_some()
    }
}

/// Reads a start tag.
fn read(
    findings: &Rc<RefCell<Findings>>,
    is_tracker: &IsTracker,
    element: &mut Element<'_, '_>,
) -> HandlerResult {
    let name = element.tag_name();
    let mut found = findings.borrow_mut();
    if name == "script" {
        let (src, domain) = (element.get_attribute("src"), element.get_attribute("data-domain"));
        if is_tracker(src.as_deref(), domain.as_deref()) {
            found.has_tracker = true;
            return found.stop();
        }
    }
    let is_policy = || {
        let equivalent = element.get_attribute("http-equiv");
        equivalent.is_some_and(|name| name.trim().eq_ignore_ascii_case("content-security-policy"))
    };
    if name == "meta" && is_policy() {
        found.policies.extend(element.get_attribute("content"));
    }
    match found.section {
        Section::Start if name == "html" => {}
        Section::Start if name == "head" && !found.last => {
            found.section = Section::Head;
            found.head = Some(element.source_location().bytes().end);
            drop(found);
            let findings = Rc::clone(findings);
            element.on_end_tag(Box::new(move |_| findings.borrow_mut().stop()))?;
        }
        Section::Head if name == "meta" => {
            let says_charset = element.has_attribute("charset")
                || element
                    .get_attribute("content")
                    .is_some_and(|content| content.to_ascii_lowercase().contains("charset="));
            if says_charset && found.charset_end.is_none() {
                found.charset_end = Some(element.source_location().bytes().end);
            }
        }
        Section::Head if !OF_HEAD.contains(&name.as_str()) => return found.stop(),
        Section::Start | Section::Headless => {
            found.section = Section::Headless;
            if name == "body" {
                drop(found);
                let findings = Rc::clone(findings);
                element.on_end_tag(Box::new(move |end| {
                    let mut found = findings.borrow_mut();
                    found.body_end = Some(end.source_location().bytes().start);
                    found.stop()
                }))?;
            }
        }
        Section::Head | Section::Scripts => {}
    }
    Ok(())
}

impl Findings {
    /// Makes the parser stop: only an error does.
    fn stop(&mut self) -> HandlerResult {
        self.over = true;
        Err("nothing more is looked for".into())
    }
}

/// Counts the bytes that the parser is done with.
struct Passed(Rc<Cell<usize>>);

impl OutputSink for Passed {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.set(self.0.get() + chunk.len());
    }
}
