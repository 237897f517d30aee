//! Text that fits the place where it is shown. Where nobody gives a width nothing is cut or wrapped.
//! It knows nothing of what the text says.

use std::io::{self, Write};

use k8s_openapi::jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The narrowest place that text is fitted to.
const NARROWEST: usize = 20;

/// `text` on one line of at most `width` columns, ending in `…` when something was cut.
pub fn cut(text: &str, width: Option<usize>) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(width) = width.map(|width| width.max(1)).filter(|width| text.width() > *width) else {
        return text;
    };
    let mut kept = String::new();
    let mut columns = 0;
    for letter in text.chars() {
        columns += letter.width().unwrap_or(0);
        if columns >= width {
            break;
        }
        kept.push(letter);
    }
    kept.push('…');
    kept
}

/// Writes a paragraph: the first line after `first`, the others after `rest`.
///
/// # Errors
/// The output cannot be written.
pub fn paragraph(
    out: &mut dyn Write,
    width: Option<usize>,
    first: &str,
    rest: &str,
    text: &str,
) -> io::Result<()> {
    let Some(width) = width else {
        return writeln!(out, "{first}{text}");
    };
    // Words such as paths and commands stay whole, so that they can be copied.
    let options = textwrap::Options::new(width.max(NARROWEST))
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace);
    for line in textwrap::wrap(text, options) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Columns that the cells of each column need.
pub fn widths<'a>(rows: impl Iterator<Item = &'a [String]>) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    widths
}

/// One row of a table: cells as wide as their columns, `gap` spaces apart, nothing after the last one.
pub fn aligned(row: &[String], widths: &[usize], gap: usize) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + gap));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Writes rows under their headers, two spaces between columns; the last column is cut to the width.
///
/// # Errors
/// The output cannot be written.
pub fn table(
    out: &mut dyn Write,
    width: Option<usize>,
    headers: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let header = headers.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let all = || std::iter::once(&header[..]).chain(rows.iter().map(Vec::as_slice));
    let widths = widths(all());
    for row in all() {
        let line = aligned(row, &widths, 2);
        match width {
            Some(width) if line.width() > width => writeln!(out, "{}", cut_raw(&line, width))?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// As [`cut`], but spaces between columns stay.
fn cut_raw(text: &str, width: usize) -> String {
    let mut columns = 0;
    let kept: String = text
        .chars()
        .take_while(|letter| {
            columns += letter.width().unwrap_or(0);
            columns < width
        })
        .collect();
    format!("{kept}…")
}

/// Time since `then` in one unit, as kubectl writes ages.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_its_columns_and_only_where_there_is_a_width() {
        assert_eq!(cut("a  long\nname", None), "a long name");
        assert_eq!(cut("a long name", Some(6)), "a lon…");
        assert_eq!(cut("模型名字", Some(5)), "模型…");
        assert_eq!(cut("short", Some(5)), "short");
    }

    #[test]
    fn a_paragraph_is_wrapped_between_words_and_a_long_word_stays_whole() {
        let mut text = Vec::new();
        paragraph(&mut text, Some(20), "- ", "  ", "see /a/very/long/path/that/stays/whole now").unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "- see\n  /a/very/long/path/that/stays/whole\n  now\n");
    }

    #[test]
    fn a_table_keeps_its_columns_and_is_cut_at_the_edge() {
        let rows = [vec!["a".to_owned(), "one".to_owned()], vec!["long".to_owned(), "two".to_owned()]];
        let mut text = Vec::new();
        table(&mut text, Some(8), &["N", "VALUE"], &rows).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "N     V…\na     o…\nlong  t…\n");
    }
}
