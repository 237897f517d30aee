//! From a request's text to a worker's tokens and back (runtime.md 4.5).
//! Must not know about HTTP; errors are values that the HTTP layer shows.

pub mod detokenize;
pub mod dispatch;
pub mod files;
pub mod generate;
pub mod prefill;
pub mod preprocess;
pub mod stop;
pub mod template;
pub mod tokenize;
