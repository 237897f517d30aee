//! Visible progress on standard error: one line a step, saying what it waits for and how long it took.
//! Must not write to standard output, which belongs to what a command answers.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{Error, Result};

// Without a terminal, a changed wait is printed at most this often, and an unchanged one so often that a log shows
// that it is alive.
const CHANGED: Duration = Duration::from_secs(4);
const REPEAT: Duration = Duration::from_secs(20);

/// A step under way. Call [`Progress::done`] when it succeeds; a step dropped before that says that it failed.
#[derive(Debug)]
pub struct Progress {
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
    said: Mutex<(String, Instant)>,
    ended: bool,
    quiet: bool,
}

impl Progress {
    /// Starts a step and shows its name.
    pub fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("-> {name}");
        }
        let now = Instant::now();
        Self { name, started: now, bar, said: Mutex::new((String::new(), now)), ended: false, quiet: false }
    }

    /// A step that shows nothing, for library users such as tests.
    pub fn silent() -> Self {
        let now = Instant::now();
        let said = Mutex::new((String::new(), now));
        Self { name: String::new(), started: now, bar: None, said, ended: false, quiet: true }
    }

    /// Says what the step waits for now.
    pub fn waiting(&self, what: &str) {
        if self.quiet {
            return;
        }
        let what: String = what.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        if let Some(bar) = &self.bar {
            bar.set_message(what);
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let age = said.1.elapsed();
        if age >= REPEAT || (said.0 != what && age >= CHANGED) {
            eprintln!("   {} ({:.0} s): waiting for {what}", self.name, self.started.elapsed().as_secs_f32());
            *said = (what, Instant::now());
        }
    }

    /// How long the step has been under way.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the step well; `note` (may be empty) says what came of it.
    pub fn done(mut self, note: &str) {
        self.finish("ok", note);
    }

    fn finish(&mut self, mark: &str, note: &str) {
        self.ended = true;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            let gap = if note.is_empty() { "" } else { ": " };
            eprintln!("{mark} {}{gap}{note} ({:.1} s)", self.name, self.started.elapsed().as_secs_f32());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.ended {
            self.finish("FAILED", "");
        }
    }
}

/// Asks `check` every `pause` until it says yes, showing what it still misses.
///
/// # Errors
/// [`Error::Deadline`] with the last thing missed after `limit`.
pub fn wait(
    progress: &Progress,
    what: &str,
    limit: Duration,
    pause: Duration,
    mut check: impl FnMut() -> std::result::Result<(), String>,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let Err(missing) = check() else { return Ok(()) };
        if started.elapsed() > limit {
            return Err(Error::Deadline { what: what.into(), seconds: limit.as_secs(), detail: missing });
        }
        progress.waiting(&format!("{what}: {}", missing.lines().next().unwrap_or_default()));
        std::thread::sleep(pause);
    }
}
