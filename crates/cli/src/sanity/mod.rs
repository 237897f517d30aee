//! `dynamoctl sanity`: what a host or container has and lacks, as a tree (`tools.md` section 2).
//! It asks no cluster and changes nothing.

mod cargo;
mod compare;
mod cuda;
mod dynamo;
mod files;
mod gpu;
mod hub;
mod machine;
mod node;
mod packages;
mod print;
mod python;
mod redact;
mod system;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use k8s_openapi::jiff::Timestamp;
use machine::Machine;
use node::{Node, Status};
use print::Plain;

use crate::{cluster::Target, console::Console, error::Error};

/// Arguments of `dynamoctl sanity`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also count files without rights, sizes, models, DYN_* variables, limits and signs of CUDA
    #[arg(long, conflicts_with_all = ["terse", "json", "compare"])]
    thorough_check: bool,
    /// Only OS, user, GPU, framework, Dynamo, and what is in error
    #[arg(long)]
    terse: bool,
    /// One line of JSON; implies the nodes of --terse
    #[arg(long, visible_alias = "json-output", conflicts_with = "terse")]
    json: bool,
    /// For runtime containers: no build tools and no checkout are needed, but packages must import
    #[arg(long, visible_aliases = ["runtime-check", "runtime"])]
    runtime_check_only: bool,
    /// Leave the GPU out
    #[arg(long)]
    no_gpu_check: bool,
    /// Do not look for frameworks
    #[arg(long)]
    no_framework_check: bool,
    /// Print only what changed since the report in this file, written by --json
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Folder that is looked at as if it were the root of the machine, such as a mounted image
    #[arg(long, value_name = "FOLDER", default_value = "/", hide_default_value = true)]
    root: PathBuf,
}

/// How much is looked at.
struct Mode {
    thorough: bool,
    runtime: bool,
    gpu: bool,
    framework: bool,
}

/// Prints the report; the exit code is 1 when something in it is an error.
///
/// # Errors
/// The report to compare with cannot be read, or the output cannot be written.
pub fn run(arguments: &Arguments, _: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let before = arguments.compare.as_deref().map(saved).transpose()?;
    let mode = Mode {
        thorough: arguments.thorough_check,
        runtime: arguments.runtime_check_only,
        gpu: !arguments.no_gpu_check,
        framework: !arguments.no_framework_check,
    };
    let machine = Machine::of_process(&arguments.root);
    let (report, advice) = report(&machine, &mode);
    let code = ExitCode::from(u8::from(report.has_error()));
    let short = arguments.terse || arguments.json || before.is_some();
    let shown = if short { terse(report) } else { report };
    if let Some(before) = before {
        let changes = compare::changes(&before, &Plain::of(&shown));
        compare::write(&changes, console)?;
    } else if arguments.json {
        let plain = Plain { install_recommendation: advice, ..Plain::of(&shown) };
        serde_json::to_writer(&mut *console, &plain).map_err(std::io::Error::from)?;
        writeln!(console)?;
    } else {
        print::tree(&shown, console)?;
        if !advice.is_empty() {
            writeln!(console)?;
            advice.iter().try_for_each(|line| writeln!(console, "{line}"))?;
        }
    }
    Ok(code)
}

fn saved(file: &Path) -> Result<Plain, Error> {
    let wrong = |reason: String| {
        Error::Usage(format!(
            "--compare {}: {reason}; write such a report with `dynamoctl sanity --json > FILE`",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| wrong(format!("is no report: {error}")))
}

/// Everything that the mode looks at, in the order of the contract, and advice on what is missing.
fn report(machine: &Machine, mode: &Mode) -> (Node, Vec<String>) {
    let workspace = dynamo::workspace(machine);
    let workspace = workspace.as_deref();
    // Frameworks depend on the GPU even where it is not shown.
    let gpu = gpu::gpu(machine, mode);
    let has_gpu = gpu.status == Status::Ok;
    let mut root =
        Node::new(system::title(machine)).child(system::os(machine, mode)).child(system::user(machine));
    if mode.gpu {
        root = root.child(gpu);
    }
    root = root.child(if mode.framework {
        python::framework(machine, has_gpu)
    } else {
        Node::of(python::FRAMEWORK, "skipped (--no-framework-check)")
    });
    root = root.child(files::file_system(machine, workspace, mode)).child(hub::cache(machine, mode));
    if !mode.runtime {
        root = root.child(cargo::cargo(machine, workspace, mode)).child(cargo::maturin(machine));
    }
    let dynamo = dynamo::dynamo(machine, workspace, mode).settled();
    let advice = dynamo::advice(&dynamo);
    root = root.child(python::python(machine)).child(dynamo);
    root.children = root.children.into_iter().map(Node::settled).collect();
    (root, advice)
}

/// The order of the terse form, and whether a node is shown when it is not in error.
const TERSE: [(&str, bool); 9] = [
    ("OS", true),
    ("User info", true),
    ("NVIDIA GPU", true),
    (python::FRAMEWORK, true),
    ("File System", false),
    ("Python", false),
    ("Cargo", false),
    ("Maturin", false),
    ("Dynamo", true),
];

fn terse(mut report: Node) -> Node {
    let mut children = std::mem::take(&mut report.children);
    for (label, always) in TERSE {
        let at = children.iter().position(|child| child.label == label);
        if let Some(child) = at.map(|at| children.remove(at))
            && (always || child.status == Status::Error)
        {
            report.children.push(child);
        }
    }
    report
}

/// A time as RFC 3339 in UTC, to the second.
fn when(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    Timestamp::from_second(time.as_second()).ok().map(|time| time.to_string())
}
