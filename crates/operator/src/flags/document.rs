//! The usage text and the reference page of the flags, both from the table.
//! Nothing is said here about single flags.

use super::{
    syntax::Kind,
    table::{ETCD_AUTH, Flag, GROUPS, Group},
};

/// What `--help` and a usage error print about the flags of a table.
pub(super) fn usage(table: &[Group]) -> String {
    let mut lines = vec!["Usage of manager:".to_owned()];
    for group in table {
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
    tables(&mut page, "##", GROUPS);
    page += "\n## The command etcd-auth\n\n\
        `etcd-auth` as the first word: turns on the authentication of an etcd cluster, and ends. It waits up to five \
        minutes for the\ncluster. The password is in the variable `ETCD_AUTH_PASSWORD`; to change it, the one that \
        still holds is in\n`ETCD_AUTH_OLD_PASSWORD`. An address without `http://` or `https://` is taken by TLS when \
        there is a file\nor `--insecure-skip-tls-verify`. Run again, it changes nothing.\n";
    tables(&mut page, "###", &ETCD_AUTH[..1]);
    page += "\nThe flags of the log are those of the operator.\n";
    page
}

fn tables(page: &mut String, heading: &str, table: &[Group]) {
    for group in table {
        *page += &format!(
            "\n{heading} {}\n\n| flag | value | default | meaning |\n|---|---|---|---|\n",
            group.title
        );
        for flag in group.flags {
            let value = match allowed(flag) {
                Some(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
                None => flag.kind.as_str().to_owned(),
            };
            let default = if flag.default.is_empty() { String::new() } else { format!("`{}`", flag.default) };
            let kept = if flag.effective { "" } else { ". *Kept*" };
            let meaning = flag.help.replace('<', "\\<").replace('|', "\\|");
            *page += &format!("| `--{}` | {value} | {default} | {meaning}{kept} |\n", flag.name);
        }
    }
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
        let text = usage(GROUPS);
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
        for table in [GROUPS, ETCD_AUTH] {
            let mut names: Vec<&str> =
                table.iter().flat_map(|group| group.flags).map(|flag| flag.name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
