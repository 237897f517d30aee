//! Manifests from files, folders and standard input, one document after the other.
//! Only reading: what a document means is decided elsewhere.

mod marks;
mod numbers;
mod sources;

use std::{
    io::{self, Read},
    path::PathBuf,
};

pub use marks::{Marked, Place, Repeated};
use serde::Deserialize;
use serde_json::Value;

use marks::Marks;

/// One document and where it stands.
#[derive(Debug)]
pub struct Document {
    /// The file as it was named, `-` for standard input.
    pub source: String,
    /// Position among the documents of its source, from 1; the objects of a list share theirs.
    pub number: usize,
    /// The object, or why the text is none.
    pub object: Result<Value, Unreadable>,
    /// Where its fields stand; `None` for a text that breaks off.
    pub marks: Option<Marked>,
}

/// Why a text is no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub reason: String,
    pub place: Option<Place>,
    /// Keys that stand twice, when that is why.
    pub repeated: Vec<Repeated>,
    /// The line itself.
    pub line: String,
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {source_name}: {source}")]
pub struct ReadError {
    source_name: String,
    source: io::Error,
}

/// Every document of `sources`: files, folders (their `.yaml`, `.yml` and `.json` files, sorted, at any depth), `-`.
///
/// # Errors
/// The first source that cannot be read. A file of a folder that cannot be read, and one that is no text, is a document
/// that cannot be read.
pub fn read(sources: &[PathBuf]) -> Result<Vec<Document>, ReadError> {
    let mut documents = Vec::new();
    for source in sources {
        let failed = |error| ReadError { source_name: source.display().to_string(), source: error };
        if source.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
            decode("-", &bytes, &mut documents);
        } else {
            for file in sources::files(source).map_err(failed)? {
                let name = file.display().to_string();
                match std::fs::read(&file) {
                    Ok(bytes) => decode(&name, &bytes, &mut documents),
                    Err(error) if file == *source => return Err(failed(error)),
                    Err(error) => {
                        let reason = format!("it cannot be read: {error}");
                        documents.push(not_text(&name, reason, None, String::new()));
                    }
                }
            }
        }
    }
    Ok(documents)
}

/// A text that is no UTF-8 has one document, which cannot be read, so that the other texts are.
fn decode(source: &str, bytes: &[u8], documents: &mut Vec<Document>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => split(source, text, documents),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let line = before.rsplit('\n').next().unwrap_or_default().to_owned();
            let place = Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 };
            let reason = "a byte that is no UTF-8: save the file as UTF-8".to_owned();
            documents.push(not_text(source, reason, Some(place), line));
        }
    }
}

fn not_text(source: &str, reason: String, place: Option<Place>, line: String) -> Document {
    let object = Err(Unreadable { reason, place, repeated: Vec::new(), line });
    Document { source: source.to_owned(), number: 1, object, marks: None }
}

/// Empty documents are left out; after a syntax error nothing more can be read from a text.
fn split(source: &str, text: &str, documents: &mut Vec<Document>) {
    // Editors of some systems begin a file with this mark, which is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut marks = marks::read(text).into_iter();
    for (at, part) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let marks = marks.next();
        let document = |object, marks| Document { source: source.to_owned(), number: at + 1, object, marks };
        match parse(part) {
            Ok(Value::Null) => {}
            Ok(mut object) => {
                let root = marks.map(|marks| marks.root);
                if let Some(root) = &root {
                    numbers::resolve(&mut object, root);
                }
                expand(object, root, &mut |object, marks| documents.push(document(Ok(object), marks)));
            }
            Err(error) => {
                let unreadable = unreadable(text, &error, marks);
                let is_readable_on = !unreadable.repeated.is_empty();
                documents.push(document(Err(unreadable), None));
                if !is_readable_on {
                    break;
                }
            }
        }
    }
}

fn unreadable(text: &str, error: &serde_yaml_ng::Error, marks: Option<Marks>) -> Unreadable {
    let place = error.location().map(|it| Place { line: it.line(), column: it.column() });
    let line = place.and_then(|place| text.lines().nth(place.line.saturating_sub(1)));
    Unreadable {
        reason: error.to_string(),
        place,
        repeated: marks.map(|marks| marks.repeated).unwrap_or_default(),
        line: line.unwrap_or_default().to_owned(),
    }
}

/// One document, with the merge keys (`<<`) of YAML 1.1 applied, as kubectl does.
fn parse(part: serde_yaml_ng::Deserializer<'_>) -> Result<Value, serde_yaml_ng::Error> {
    let mut tree = serde_yaml_ng::Value::deserialize(part)?;
    tree.apply_merge()?;
    serde_json::to_value(tree).map_err(serde::de::Error::custom)
}

/// The objects of a list one by one, as kubectl takes it; anything else as it is.
fn expand(mut object: Value, marks: Option<Marked>, found: &mut impl FnMut(Value, Option<Marked>)) {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items").filter(|_| is_list).map(Value::take) {
        Some(Value::Array(items)) => {
            let marks = marks.as_ref().and_then(|marks| marks.get("items"));
            for (at, item) in items.into_iter().enumerate() {
                expand(item, marks.and_then(|marks| marks.item(at)).cloned(), found);
            }
        }
        Some(Value::Null) => {}
        Some(other) => found(other, marks),
        None => found(object, marks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<Document> {
        let mut documents = Vec::new();
        split("-", text, &mut documents);
        documents
    }

    #[test]
    fn every_document_of_a_text_is_read_and_empty_ones_are_left_out() {
        let read = documents("a: 1\n---\n---\n# nothing\n---\nb: 2\n");
        let objects: Vec<_> = read.into_iter().map(|document| document.object.unwrap()).collect();
        assert_eq!(objects, [serde_json::json!({"a": 1}), serde_json::json!({"b": 2})]);
    }

    #[test]
    fn the_objects_of_a_list_are_documents_of_their_own() {
        let read = documents(
            "kind: List\napiVersion: v1\nitems:\n- {a: 1}\n- {kind: XList, items: [{b: 2}]}\n---\nkind: List\nitems:\n",
        );
        let found: Vec<_> =
            read.into_iter().map(|document| (document.number, document.object.unwrap())).collect();
        assert_eq!(found, [(1, serde_json::json!({"a": 1})), (1, serde_json::json!({"b": 2}))]);
    }

    #[test]
    fn merge_keys_are_applied() {
        let read = documents("base: &base {x: 1, y: 2}\nuser: {<<: *base, y: 3}\n");
        assert_eq!(read[0].object.as_ref().unwrap()["user"], serde_json::json!({"x": 1, "y": 3}));
        assert!(documents("user: {<<: 7}\n")[0].object.is_err());
    }

    #[test]
    fn a_key_that_stands_twice_does_not_hide_the_next_document() {
        let read = documents("a: 1\na: 2\n---\nb: 3\n");
        assert!(read[0].object.is_err());
        assert_eq!(read[1].object.as_ref().unwrap(), &serde_json::json!({"b": 3}));
    }

    #[test]
    fn the_mark_of_byte_order_is_no_part_of_a_text_and_other_encodings_are_told_with_their_place() {
        assert_eq!(documents("\u{feff}a: 1\n")[0].object.as_ref().unwrap(), &serde_json::json!({"a": 1}));
        let mut read = Vec::new();
        decode("f.yaml", b"a: 1\nb: caf\xe9\n", &mut read);
        let Err(Unreadable { reason, place, .. }) = &read[0].object else { panic!("{read:?}") };
        assert_eq!((reason.contains("UTF-8"), *place), (true, Some(Place { line: 2, column: 7 })));
    }

    #[test]
    fn a_syntax_error_is_the_last_document() {
        let read = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(read.len(), 2);
        assert!(read[1].object.is_err());
    }
}
