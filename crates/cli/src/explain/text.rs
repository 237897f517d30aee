//! A field for people, in the width of their terminal. Nothing is looked up here.

use std::io::{self, Write};

use super::field::Field;
use crate::console::{BLUE, BOLD, Console, GREEN, YELLOW};

/// Where there is no terminal to ask.
const WIDTH: usize = 100;

pub(super) fn write(field: &Field, recursive: bool, console: &mut Console<'_>) -> io::Result<()> {
    let width = console.width().unwrap_or(WIDTH).max(40);
    let Field { kind, path, .. } = field;
    let name = if path.is_empty() { String::new() } else { format!(" {path}") };
    writeln!(console, "{BOLD}{kind}{name}{BOLD:#}  {}", head(field))?;
    write_rules(field, 0, console)?;
    if !field.description.is_empty() {
        writeln!(console)?;
        write_wrapped(&field.description, 0, width, console)?;
    }
    if !field.fields.is_empty() {
        writeln!(console, "\nFields:")?;
    }
    for child in &field.fields {
        match recursive {
            true => write_tree(child, 1, console)?,
            false => write_child(child, width, console)?,
        }
    }
    Ok(())
}

/// Type, and what a reader wants to know first.
fn head(field: &Field) -> String {
    let required = if field.required { format!("  {YELLOW}required{YELLOW:#}") } else { String::new() };
    format!("<{BLUE}{}{BLUE:#}>{required}", field.type_)
}

fn write_rules(field: &Field, indent: usize, out: &mut impl Write) -> io::Result<()> {
    let space = " ".repeat(indent);
    if let Some(default) = &field.default {
        writeln!(out, "{space}default: {default}")?;
    }
    if !field.allowed.is_empty() {
        let allowed: Vec<String> = field.allowed.iter().map(ToString::to_string).collect();
        writeln!(out, "{space}one of: {}", allowed.join(", "))?;
    }
    if !field.rules.is_empty() {
        writeln!(out, "{space}rules: {}", field.rules.join("; "))?;
    }
    Ok(())
}

fn write_child(field: &Field, width: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  {GREEN}{}{GREEN:#}  {}", field.path, head(field))?;
    write_rules(field, 4, out)?;
    write_wrapped(&field.description, 4, width, out)
}

fn write_tree(field: &Field, depth: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}{GREEN}{}{GREEN:#}  {}", "  ".repeat(depth), field.path, head(field))?;
    field.fields.iter().try_for_each(|child| write_tree(child, depth + 1, out))
}

/// Words in lines of at most `width`; line ends of the text mean nothing, empty lines do.
fn write_wrapped(text: &str, indent: usize, width: usize, out: &mut impl Write) -> io::Result<()> {
    let space = " ".repeat(indent);
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
                writeln!(out, "{space}{line}")?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        writeln!(out, "{space}{line}")?;
    }
    Ok(())
}
