//! Where text goes, and how wide the place is. Commands write styles as they like: the stream takes them out where
//! nobody would see colours.

mod controls;

use std::{
    fmt,
    io::{self, Write},
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
    controls: Controls,
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
        Self { out, width, controls: Controls::default() }
    }

    /// Of any width.
    pub fn plain(out: &'a mut dyn Write) -> Self {
        Self { out, width: None, controls: Controls::default() }
    }

    /// As of a terminal with `width` columns.
    pub fn of_width(out: &'a mut dyn Write, width: usize) -> Self {
        Self { out, width: Some(width), controls: Controls::default() }
    }

    /// Columns of the terminal; `None` when there is none, and nothing must be cut.
    pub fn width(&self) -> Option<usize> {
        self.width
    }
}

impl Write for Console<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let shown = self.controls.filter(text);
        self.out.write_all(&shown)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        // What is left is no whole sequence; an output that cannot take it has told so before.
        let _ = self.out.write_all(&self.controls.rest());
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
