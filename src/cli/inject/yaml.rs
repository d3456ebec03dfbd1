//! A YAML stream as a tree in which each node knows its place in the text, so that the text can be changed in
//! that place alone.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// A node of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct YamlNode {
    pub(super) content: YamlContent,
    /// Where it begins in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends. Of a collection in block style this is the end of its last token.
    pub(super) end: usize,
    /// The column in which it begins: of a mapping in block style that of its keys, of a list that of its
    /// dashes.
    pub(super) column: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum YamlContent {
    Scalar {
        value: String,
        style: ScalarStyle,
        tag: Option<String>,
    },
    List {
        items: Vec<YamlNode>,
        flow: bool,
    },
    Map {
        entries: Vec<(YamlNode, YamlNode)>,
        flow: bool,
    },
    /// `*name`, by the number of its anchor.
    Alias(usize),
}

impl YamlNode {
    /// The value of a mapping's key.
    pub(super) fn get(&self, key: &str) -> Option<&YamlNode> {
        let YamlContent::Map { entries, .. } = &self.content else {
            return None;
        };
        let found = entries.iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(_, value)| value)
    }

    /// The value at the end of a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&YamlNode> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// A scalar's value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            YamlContent::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// A list's items; none where it is no list.
    pub(super) fn items(&self) -> &[YamlNode] {
        match &self.content {
            YamlContent::List { items, .. } => items,
            _ => &[],
        }
    }

    /// A mapping's entries; none where it is no mapping.
    pub(super) fn entries(&self) -> &[(YamlNode, YamlNode)] {
        match &self.content {
            YamlContent::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    /// Whether nothing is said: an empty plain scalar, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(
            &self.content,
            YamlContent::Scalar { value, style: ScalarStyle::Plain, tag: None }
                if matches!(value.as_str(), "" | "~" | "null" | "Null" | "NULL")
        )
    }
}

/// The documents of a stream. Those without content are left out.
///
/// # Errors
/// The text is no YAML.
pub(super) fn documents(text: &str) -> Result<Vec<YamlNode>, ScanError> {
    let offsets: Vec<usize> = text
        .char_indices()
        .map(|(offset, _)| offset)
        .chain([text.len()])
        .collect();
    let mut reader = TreeReader {
        text,
        offsets,
        parser: Parser::new_from_str(text),
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => documents.extend(reader.node(event, span)?),
        }
    }
    Ok(documents)
}

struct TreeReader<'t> {
    text: &'t str,
    /// The byte at which each character begins.
    offsets: Vec<usize>,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
}

impl<'t> TreeReader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, ScanError> {
        self.parser.next_event().transpose()
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).copied().unwrap_or(self.text.len())
    }

    /// The node that begins with this event; none if the event begins none.
    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Option<YamlNode>, ScanError> {
        let (mut start, mut end) = (self.offset(span.start.index()), self.offset(span.end.index()));
        let content = match event {
            Event::Alias(anchor) => YamlContent::Alias(anchor),
            Event::Scalar(value, style, _, tag) => YamlContent::Scalar {
                value: value.into_owned(),
                style,
                tag: tag.map(|tag| tag.to_string()),
            },
            Event::SequenceStart(..) => {
                let flow = self.text[start..].starts_with('[');
                if !flow {
                    start = self.dash(start);
                }
                let (items, close) = self.items()?;
                end = match items.last() {
                    _ if flow => close,
                    Some(last) => last.end,
                    None => end,
                };
                YamlContent::List { items, flow }
            }
            Event::MappingStart(..) => {
                let flow = self.text[start..].starts_with('{');
                let (items, close) = self.items()?;
                let mut entries = Vec::new();
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    entries.push((key, value));
                }
                end = match entries.last() {
                    _ if flow => close,
                    // A value that is not there has no place of its own.
                    Some((key, value)) if value.start == value.end => key.end,
                    Some((_, value)) => value.end,
                    None => end,
                };
                YamlContent::Map { entries, flow }
            }
            _ => return Ok(None),
        };
        Ok(Some(YamlNode {
            content,
            start,
            end,
            column: self.column(start),
        }))
    }

    /// The first dash of a list. The parser tells the place of the first item instead where the dashes are no
    /// further to the right than the list's key.
    fn dash(&self, start: usize) -> usize {
        match self.text[start..].strip_prefix('-') {
            Some(rest) if rest.starts_with([' ', '\t', '\r', '\n']) => start,
            _ => self.text[..start].rfind('-').unwrap_or(start),
        }
    }

    fn column(&self, at: usize) -> usize {
        let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        self.text[line..at].chars().count()
    }

    /// The nodes up to a collection's end, and where that is.
    fn items(&mut self) -> Result<(Vec<YamlNode>, usize), ScanError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            match self.node(event, span)? {
                Some(item) => items.push(item),
                None => return Ok((items, self.offset(span.end.index()))),
            }
        }
        Ok((items, self.text.len()))
    }
}
