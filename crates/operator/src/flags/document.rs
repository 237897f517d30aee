//! The usage text and the reference page of the flags, both from the table.
//! Nothing is said here about single flags.

use super::{
    syntax::Kind,
    table::{Flag, GROUPS},
};

/// What `--help` and a usage error print.
pub(super) fn usage() -> String {
    let mut lines = vec!["Usage of manager:".to_owned()];
    for group in GROUPS {
        lines.push(format!("\n{}:", group.title));
        for flag in group.flags {
            lines.push(match flag.kind {
                Kind::Boolean => format!("  --{}", flag.name),
                kind => format!("  --{} {}", flag.name, kind.as_str()),
            });
            let mut text = format!("      {}", flag.help);
            if !is_zero(flag) {
                text += &format!(" (default {})", flag.default);
            }
            if let Some(words) = allowed(flag) {
                text += &format!(" (one of {})", words.join(", "));
            }
            if !flag.effective {
                text += " [no effect in this version]";
            }
            lines.push(text);
        }
    }
    lines.join("\n")
}

/// The page `docs/reference/flags.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = "# Flags of the operator\n\n\
        Generated from the program (`UPDATE_REFERENCE=1 cargo test -p dynamo-operator --test reference_pages`).\n\n\
        The syntax is that of Go: `-x` and `--x` are equal, `--x=v` or `--x v`, a boolean takes a value only with `=`, \
        of repeats\nthe last wins (lists take all), names are case-sensitive, durations are written `500ms`, `30s`, \
        `1h30m`. What follows the first\nword that is no flag is ignored. An unknown flag or a value that does not \
        parse ends the process with exit code 2 and the\nusage; a value that cannot be used with exit code 1 and a \
        sentence; `--help` with 0.\n\n\
        *Kept*: parsed and checked, and without effect in this version.\n"
        .to_owned();
    for group in GROUPS {
        page += &format!("\n## {}\n\n| flag | value | default | meaning |\n|---|---|---|---|\n", group.title);
        for flag in group.flags {
            let value = match allowed(flag) {
                Some(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
                None => flag.kind.as_str().to_owned(),
            };
            let default = if flag.default.is_empty() { String::new() } else { format!("`{}`", flag.default) };
            let kept = if flag.effective { "" } else { ". *Kept*" };
            let meaning = flag.help.replace('<', "\\<").replace('|', "\\|");
            page += &format!("| `--{}` | {value} | {default} | {meaning}{kept} |\n", flag.name);
        }
    }
    page
}

/// Whether the default need not be said.
fn is_zero(flag: &Flag) -> bool {
    matches!(flag.default, "" | "false" | "0")
}

fn allowed(flag: &Flag) -> Option<&'static [&'static str]> {
    match flag.kind {
        Kind::Word(words) => Some(words),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_flag_its_default_and_whether_it_has_an_effect() {
        let text = usage();
        for flag in GROUPS.iter().flat_map(|group| group.flags) {
            assert!(text.contains(&format!("\n  --{}", flag.name)), "{}", flag.name);
        }
        assert!(text.contains(
            "--webhook-bind-address string\n      address of the admission listener (default :9443)"
        ));
        assert!(text.contains(
            "accepted; this program logs causes, and no stack traces (one of info, error, panic) [no effect"
        ));
    }

    #[test]
    fn every_flag_is_defined_once() {
        let mut names: Vec<&str> =
            GROUPS.iter().flat_map(|group| group.flags).map(|flag| flag.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
