//! Where text goes, and how wide the place is. Commands write styles as they like: the stream takes them out where
//! nobody would see colours.

use std::{
    fmt,
    io::{self, Write},
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

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
        Self { out, width }
    }

    /// Of any width.
    pub fn plain(out: &'a mut dyn Write) -> Self {
        Self { out, width: None }
    }

    /// As of a terminal with `width` columns.
    pub fn of_width(out: &'a mut dyn Write, width: usize) -> Self {
        Self { out, width: Some(width) }
    }

    /// Columns of the terminal; `None` when there is none, and nothing must be cut.
    pub fn width(&self) -> Option<usize> {
        self.width
    }
}

impl Write for Console<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.out.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
