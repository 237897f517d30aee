//! `dynamoctl`: words in, an exit code out.
//! No logic of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    dynamoctl::main()
}
