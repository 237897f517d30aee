//! The `devkit` program: command line of the development commands.
//! Must not hold logic: every command is a function of the library.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dynamo_devkit::{Result, cluster, demo, images, tools};

#[derive(Parser)]
#[command(name = "devkit", about = "Development commands of the Dynamo platform", version)]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Build the pinned tools into the cache and print the folder of their programs
    Tools {
        /// Which tools; all without names
        names: Vec<tools::Tool>,
    },
    /// The single-node Kubernetes of this machine
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// The product's container images
    #[command(subcommand)]
    Images(ImagesCommand),
    /// Cluster, images, charts, an example graph and a chat completion through it
    Demo {
        /// HOST/PATH that holds the images, for a cluster that takes them from a registry alone
        #[arg(long)]
        registry: Option<String>,
        #[command(flatten)]
        build: BuildArguments,
    },
}

#[derive(clap::Args)]
struct BuildArguments {
    /// Cargo profile
    #[arg(long, default_value = "release")]
    profile: String,
    /// Tag of the images, besides the one made from their content
    #[arg(long, default_value = "dev")]
    tag: String,
}

impl From<BuildArguments> for images::BuildOptions {
    fn from(arguments: BuildArguments) -> Self {
        Self { profile: arguments.profile, tag: arguments.tag }
    }
}

#[derive(Subcommand)]
enum ImagesCommand {
    /// Build the static programs and pack them into image archives
    Build(BuildArguments),
    /// Load the archives of the last build into the cluster
    Load,
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Make or repair the cluster; does nothing when it is up
    Up,
    /// Take the cluster away and undo every change of the machine
    Down,
    /// Tell whether the cluster works; fails when it does not
    Status,
    /// Print the path of the administrator's kubeconfig
    Kubeconfig,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: impl std::fmt::Display) {
    // A closed standard output (`devkit ... | head -1`) is no failure.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn run(command: Commands) -> Result<()> {
    match command {
        Commands::Tools { names } => {
            let wanted = if names.is_empty() { tools::Tool::ALL.to_vec() } else { names };
            say(tools::ensure(&wanted)?.bin().display());
        }
        Commands::Cluster(ClusterCommand::Up) => {
            cluster::up()?;
            say(format_args!("export KUBECONFIG={}", cluster::kubeconfig()?.display()));
        }
        Commands::Cluster(ClusterCommand::Down) => cluster::down()?,
        Commands::Cluster(ClusterCommand::Status) => cluster::status()?.iter().for_each(say),
        Commands::Images(ImagesCommand::Build(arguments)) => {
            let built = images::build(&arguments.into())?;
            for archive in [built.operator, built.serve] {
                say(format_args!(
                    "{} {} {}",
                    archive.names.join(" "),
                    archive.digest,
                    archive.path.display()
                ));
            }
        }
        Commands::Images(ImagesCommand::Load) => {
            let built = images::last_build()?;
            let chosen = demo::choose::choose()?;
            let target = chosen.target()?;
            target.load(&built.operator)?;
            target.load(&built.serve)?;
        }
        Commands::Demo { registry, build } => {
            demo::run(&demo::DemoOptions { registry, build: build.into() }, &mut std::io::stdout())?;
        }
        Commands::Cluster(ClusterCommand::Kubeconfig) => say(cluster::kubeconfig()?.display()),
    }
    Ok(())
}
