//! `dynamoctl status` on graphs that an operator runs.

mod answers;
mod staged;
