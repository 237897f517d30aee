//! Where each field of a text stands. Only places: what the fields hold is read by the parser of manifests, whose verdict
//! on the text counts; here a text that breaks off is known as far as it goes.

use std::{collections::HashMap, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde::Serialize;

/// Line and column of a text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// A value of a text with its place: that of its key in a mapping, else its own.
#[derive(Debug, Clone)]
pub struct Marked {
    pub place: Place,
    content: Rc<Content>,
}

#[derive(Debug)]
enum Content {
    /// The text of a scalar without quotes and tag, which may mean something else to another reader.
    Scalar(Option<String>),
    Mapping(Vec<(String, Marked)>),
    List(Vec<Marked>),
}

/// A key that stands twice in one mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    pub key: String,
    pub first: Place,
    pub again: Place,
}

/// The places of one document.
#[derive(Debug, Clone)]
pub struct Marks {
    pub root: Marked,
    pub repeated: Vec<Repeated>,
}

/// The documents of `text` in their order, up to the first that is no YAML.
pub fn read(text: &str) -> Vec<Marks> {
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { break };
        builder.take(event, span);
    }
    builder.documents
}

impl Marked {
    /// The value under a key, also one that a merge key (`<<`) brings along.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Content::Mapping(entries) = &*self.content else { return None };
        let own = entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        own.or_else(|| {
            let (_, merged) = entries.iter().find(|(name, _)| name == "<<")?;
            match &*merged.content {
                Content::List(sources) => sources.iter().find_map(|source| source.get(key)),
                _ => merged.get(key),
            }
        })
    }

    /// The item of a list.
    pub fn item(&self, at: usize) -> Option<&Self> {
        match &*self.content {
            Content::List(items) => items.get(at),
            _ => None,
        }
    }

    /// The text of a scalar that stands without quotes.
    pub fn plain(&self) -> Option<&str> {
        match &*self.content {
            Content::Scalar(text) => text.as_deref(),
            _ => None,
        }
    }

    /// The place of the field with a path such as `spec.services[Worker].envs[0].name`; where it is missing, that of the
    /// nearest field above it. Keys may hold any character: a path is read along the keys that are there.
    pub fn find(&self, path: &str) -> Place {
        let mut here = self;
        let mut rest = path;
        while let Some((next, after)) = here.step(rest) {
            here = next;
            rest = after;
        }
        here.place
    }

    fn step<'a>(&self, path: &'a str) -> Option<(&Self, &'a str)> {
        if let Some(inside) = path.strip_prefix('[') {
            return match &*self.content {
                Content::List(items) => {
                    let (name, after) = inside.split_once(']')?;
                    // A list whose items have names is also addressed by them.
                    let named =
                        || items.iter().find(|item| item.get("name").and_then(Self::plain) == Some(name));
                    let item = name.parse().ok().map_or_else(named, |at: usize| items.get(at))?;
                    Some((item, after))
                }
                _ => self.longest_key(|key| inside.strip_prefix(key)?.strip_prefix(']')),
            };
        }
        let path = path.strip_prefix('.').unwrap_or(path);
        self.longest_key(|key| {
            path.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// The entry with the longest key that `fits`, and what is left of the path after it.
    fn longest_key<'a>(&self, fits: impl Fn(&str) -> Option<&'a str>) -> Option<(&Self, &'a str)> {
        let found = self.keys().into_iter().filter_map(|key| Some((key, fits(key)?)));
        let (key, rest) = found.max_by_key(|(key, _)| key.len())?;
        Some((self.get(key)?, rest))
    }

    fn keys(&self) -> Vec<&str> {
        let Content::Mapping(entries) = &*self.content else { return Vec::new() };
        let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        for (_, merged) in entries.iter().filter(|(key, _)| key == "<<") {
            match &*merged.content {
                Content::List(sources) => keys.extend(sources.iter().flat_map(Self::keys)),
                _ => keys.extend(merged.keys()),
            }
        }
        keys
    }
}

/// A collection that is not yet closed.
enum Open {
    Mapping { place: Place, anchor: usize, entries: Vec<(String, Marked)>, key: Option<(String, Place)> },
    List { place: Place, anchor: usize, items: Vec<Marked> },
}

#[derive(Default)]
struct Builder {
    documents: Vec<Marks>,
    open: Vec<Open>,
    anchors: HashMap<usize, Marked>,
    repeated: Vec<Repeated>,
    root: Option<Marked>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(..) => {
                *self = Self { documents: std::mem::take(&mut self.documents), ..Self::default() };
                self.root = Some(Marked { place, content: Rc::new(Content::Scalar(None)) });
            }
            Event::DocumentEnd => {
                let repeated = std::mem::take(&mut self.repeated);
                self.documents.extend(self.root.take().map(|root| Marks { root, repeated }));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let plain = is_plain.then(|| text.clone().into_owned());
                self.add(
                    text.into_owned(),
                    anchor,
                    Marked { place, content: Rc::new(Content::Scalar(plain)) },
                );
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).map(|marked| Rc::clone(&marked.content));
                let content = known.unwrap_or_else(|| Rc::new(Content::Scalar(None)));
                self.add(String::new(), 0, Marked { place, content });
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open::Mapping { place, anchor, entries: Vec::new(), key: None });
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open::List { place, anchor, items: Vec::new() });
            }
            Event::MappingEnd | Event::SequenceEnd => self.close(),
            _ => {}
        }
    }

    fn close(&mut self) {
        let (place, anchor, content) = match self.open.pop() {
            Some(Open::Mapping { place, anchor, entries, .. }) => (place, anchor, Content::Mapping(entries)),
            Some(Open::List { place, anchor, items }) => (place, anchor, Content::List(items)),
            None => return,
        };
        self.add(String::new(), anchor, Marked { place, content: Rc::new(content) });
    }

    /// A whole node: a key, the value of one, an item or a document.
    fn add(&mut self, text: String, anchor: usize, node: Marked) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(Open::Mapping { entries, key, .. }) => match key.take() {
                None => {
                    if let Some((_, first)) = entries.iter().find(|(known, _)| *known == text) {
                        let first = first.place;
                        self.repeated.push(Repeated { key: text.clone(), first, again: node.place });
                    }
                    *key = Some((text, node.place));
                }
                Some((name, place)) => entries.push((name, Marked { place, ..node })),
            },
            Some(Open::List { items, .. }) => items.push(node),
            None => self.root = Some(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
kind: A
spec:
  base: &base {x: 1, y: 2}
  services:
    my.worker: {<<: *base, replicas: 1}
    Worker:
      envs:
      - name: ONE
        value: on
      - {name: TWO, value: \"on\"}
";

    fn at(path: &str) -> (usize, usize) {
        let Place { line, column } = read(TEXT)[0].root.find(path);
        (line, column)
    }

    #[test]
    fn fields_are_found_by_their_paths_and_missing_ones_by_the_field_above() {
        assert_eq!(at("kind"), (2, 1));
        assert_eq!(at("spec.services[Worker].envs[1].name"), (11, 10));
        assert_eq!(at("spec.services.Worker.envs[TWO].value"), (11, 21));
        assert_eq!(at("spec.services[my.worker].replicas"), (6, 28));
        assert_eq!(at("spec.services.my.worker.y"), (4, 22), "brought by a merge key");
        assert_eq!(at("spec.services[Worker].replicas"), (7, 5));
        assert_eq!(at("metadata.name"), (2, 1), "the document itself");
        assert_eq!(at(""), (2, 1));
    }

    #[test]
    fn quotes_are_seen() {
        let marks = read(TEXT);
        let envs =
            marks[0].root.get("spec").and_then(|it| it.get("services")?.get("Worker")?.get("envs")).unwrap();
        assert_eq!(envs.item(0).and_then(|it| it.get("value")?.plain()), Some("on"));
        assert_eq!(envs.item(1).and_then(|it| it.get("value")?.plain()), None);
    }

    #[test]
    fn repeated_keys_are_told_with_both_places_and_documents_stay_apart() {
        let marks = read("a: 1\nb: 2\na: 3\n---\na: 1\n---\nx: [\n");
        let places: Vec<_> =
            marks[0].repeated.iter().map(|it| (it.key.as_str(), it.first.line, it.again.line)).collect();
        assert_eq!(places, [("a", 1, 3)]);
        assert!(marks[1].repeated.is_empty());
        assert_eq!((marks.len(), marks[1].root.find("a").line), (2, 5), "the broken one is not among them");
    }
}
