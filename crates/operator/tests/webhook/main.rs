//! The admission server as the API server meets it: verdicts, bounds, TLS, garbage.

mod bounds;
mod garbage;
mod support;
mod tls;
mod verdicts;
