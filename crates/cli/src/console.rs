//! Where text goes, and how wide the place is. Commands write styles as they like: the stream takes them out where
//! nobody would see colours.

mod controls;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use controls::Controls;

pub const GREEN: Style = AnsiColor::Green.on_default();
pub const RED: Style = AnsiColor::Red.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
pub const BLUE: Style = AnsiColor::Blue.on_default();
pub const BOLD: Style = Style::new().bold();

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// `raw`, with styles taken out where they are not wanted. `auto` follows the terminal, `NO_COLOR` and
    /// `CLICOLOR_FORCE`.
    pub fn stream<S: anstream::stream::RawStream>(self, raw: S) -> AutoStream<S> {
        match self {
            Self::Auto => AutoStream::auto(raw),
            Self::Always => AutoStream::always_ansi(raw),
            Self::Never => AutoStream::never(raw),
        }
    }
}

/// The output of one command.
pub struct Console<'a> {
    out: &'a mut dyn Write,
    width: Option<usize>,
    /// Of a terminal. Programs get what is written, byte by byte.
    controls: Option<Controls>,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").field("width", &self.width).finish_non_exhaustive()
    }
}

impl<'a> Console<'a> {
    /// That of this process; `out` leads to its standard output.
    pub fn of_process(out: &'a mut dyn Write) -> Self {
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into());
        Self { out, width, controls: io::stdout().is_terminal().then(Controls::default) }
    }

    /// Of any width.
    pub fn plain(out: &'a mut dyn Write) -> Self {
        Self { out, width: None, controls: None }
    }

    /// As of a terminal with `width` columns.
    pub fn of_width(out: &'a mut dyn Write, width: usize) -> Self {
        Self { out, width: Some(width), controls: Some(Controls::default()) }
    }

    /// Columns of the terminal; `None` when there is none, and nothing must be cut.
    pub fn width(&self) -> Option<usize> {
        self.width
    }
}

impl Write for Console<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let Some(controls) = &mut self.controls else { return self.out.write(text) };
        self.out.write_all(&controls.filter(text))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        if let Some(controls) = &mut self.controls {
            // What is left is no whole sequence; an output that cannot take it has told so before.
            let _ = self.out.write_all(&controls.rest());
        }
    }
}

/// Writes a line for people to standard error. Nobody need be there to read it.
pub fn note(text: &str) {
    let mut controls = Controls::default();
    let mut shown = controls.filter(text.as_bytes());
    shown.extend(controls.rest());
    shown.push(b'\n');
    let _ = io::stderr().write_all(&shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nobody_else_and_a_program_gets_every_byte() {
        let text = "ok \x1b]0;title\x07\x1b[2J\n";
        let (mut shown, mut read) = (Vec::new(), Vec::new());
        write!(Console::of_width(&mut shown, 80), "{text}").unwrap();
        write!(Console::plain(&mut read), "{text}").unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "ok ^[]0;title^G^[[2J\n");
        assert_eq!(String::from_utf8(read).unwrap(), text);
    }
}
