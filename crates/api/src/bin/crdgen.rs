//! Writes the CustomResourceDefinitions of the chart and the field reference, or checks the committed ones.
//! Usage: crdgen [--out DIR] [--docs FILE] [--check]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use dynamo_api::crds;

#[derive(Debug, Default)]
struct Arguments {
    out: Option<PathBuf>,
    docs: Option<PathBuf>,
    check: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            report(&format!("crdgen: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns false when a committed file differs.
fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let arguments = arguments(std::env::args().skip(1))?;
    let crds = crds::all()?;
    let mut files = Vec::new();
    if let Some(directory) = &arguments.out {
        for crd in &crds {
            files.push((directory.join(&crd.file_name), crd.yaml()?));
        }
    }
    if let Some(file) = &arguments.docs {
        files.push((file.clone(), dynamo_api::field_reference::markdown(&crds)));
    }
    let mut same = true;
    for (path, text) in &files {
        if arguments.check {
            same &= check(path, text);
        } else {
            write(path, text)?;
        }
    }
    Ok(same)
}

fn arguments(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut words = words;
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => arguments.check = true,
            "--out" => arguments.out = Some(words.next().ok_or("--out needs a directory")?.into()),
            "--docs" => arguments.docs = Some(words.next().ok_or("--docs needs a file")?.into()),
            other => return Err(format!("unknown argument {other}: use --out DIR, --docs FILE, --check")),
        }
    }
    if arguments.out.is_none() && arguments.docs.is_none() {
        return Err("nothing to do: give --out DIR, --docs FILE, or both".to_owned());
    }
    Ok(arguments)
}

fn check(path: &Path, text: &str) -> bool {
    let problem = match std::fs::read_to_string(path) {
        Ok(committed) if committed == text => return true,
        Ok(_) => "differs from the types: run crdgen without --check and commit it".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    report(&format!("{}: {problem}", path.display()));
    false
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = match path.parent() {
        Some(directory) => std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, text)),
        None => std::fs::write(path, text),
    };
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// A closed stderr must not turn a finding into a crash.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
