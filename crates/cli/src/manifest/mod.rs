//! Manifests from files, folders and standard input, one document after the other.
//! Only reading: what a document means is decided elsewhere.

mod marks;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
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
/// The first source that cannot be read.
pub fn read(sources: &[PathBuf]) -> Result<Vec<Document>, ReadError> {
    let mut documents = Vec::new();
    for source in sources {
        let failed = |error| ReadError { source_name: source.display().to_string(), source: error };
        if source.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
            split("-", &text, &mut documents);
        } else {
            for file in files(source).map_err(failed)? {
                let text = std::fs::read_to_string(&file)
                    .map_err(|error| ReadError { source_name: file.display().to_string(), source: error })?;
                split(&file.display().to_string(), &text, &mut documents);
            }
        }
    }
    Ok(documents)
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut entries = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let is_manifest = entry
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"));
        if entry.is_dir() || is_manifest {
            found.extend(files(&entry)?);
        }
    }
    Ok(found)
}

/// Empty documents are left out; after a syntax error nothing more can be read from a text.
fn split(source: &str, text: &str, documents: &mut Vec<Document>) {
    let mut marks = marks::read(text).into_iter();
    for (at, part) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let marks = marks.next();
        let document = |object, marks| Document { source: source.to_owned(), number: at + 1, object, marks };
        match parse(part) {
            Ok(Value::Null) => {}
            Ok(object) => {
                let root = marks.map(|marks| marks.root);
                expand(object, root, &mut |object, marks| documents.push(document(Ok(object), marks)));
            }
            Err(error) => {
                documents.push(document(Err(unreadable(text, &error, marks)), None));
                break;
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
    fn a_syntax_error_is_the_last_document() {
        let read = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(read.len(), 2);
        assert!(read[1].object.is_err());
    }
}
