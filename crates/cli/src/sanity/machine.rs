//! The one way to the machine: files below a root folder, the environment, and programs with a time limit.
//! It judges nothing; with another root it reads another machine, such as a mounted image.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access},
};

use crate::program::{self, Said, Silent};

/// How much of one file is read, in bytes.
const KEPT: u64 = 4 << 20;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(10);
const GIB: f64 = 1_073_741_824.0;

/// The machine that a report is about.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

/// Room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub used: u64,
    pub available: u64,
}

/// Bytes as GiB.
#[expect(clippy::cast_precision_loss, reason = "a report shows two decimals")]
pub fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB
}

impl Machine {
    /// The machine below `root`, with the environment of this process.
    pub fn of_process(root: &Path) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { root: root.to_owned(), env, cwd: std::env::current_dir().unwrap_or_else(|_| "/".into()) }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable whose name starts with `prefix`, by name.
    pub fn vars(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let found = self.env.iter().filter(move |(name, _)| name.starts_with(prefix));
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn home(&self) -> PathBuf {
        self.var("HOME").map_or_else(|| "/root".into(), PathBuf::from)
    }

    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// `path` of the machine as this process reaches it.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if self.root == Path::new("/") {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        use std::io::Read;
        let file = std::fs::File::open(self.at(path)).ok()?;
        let mut bytes = Vec::new();
        file.take(KEPT).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }

    pub fn is_dir(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).is_dir()
    }

    /// Names in a folder, sorted; none when it cannot be read.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether this process may write there.
    pub fn is_writable(&self, path: impl AsRef<Path>) -> bool {
        access(&self.at(path), AccessFlags::W_OK).is_ok()
    }

    pub fn space(&self, path: impl AsRef<Path>) -> Option<Space> {
        let stat = statvfs(&self.at(path)).ok()?;
        let size = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
        Some(Space {
            total: size(stat.blocks()),
            used: size(stat.blocks().saturating_sub(stat.blocks_free())),
            available: size(stat.blocks_available()),
        })
    }

    /// Type and options of the mount that holds `path`.
    pub fn mount(&self, path: impl AsRef<Path>) -> Option<(String, String)> {
        let path = path.as_ref();
        let mounts = self.read("/proc/self/mounts")?;
        let lines = mounts.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let point = PathBuf::from(words.next()?.replace("\\040", " "));
            path.starts_with(&point).then_some((point, words.next()?.to_owned(), words.next()?.to_owned()))
        });
        let (_, kind, options) = lines.max_by_key(|(point, ..)| point.components().count())?;
        Some((kind, options))
    }

    /// The executable `name` in the folders of PATH, then in `further` ones; as a path of the machine.
    pub fn find(&self, name: &str, further: &[&str]) -> Option<PathBuf> {
        let path = self.var("PATH").unwrap_or_default();
        let folders = std::env::split_paths(path).chain(further.iter().map(PathBuf::from));
        folders.map(|folder| folder.join(name)).find(|file| program::is_executable(&self.at(file)))
    }

    /// What the program at `file` says; it is killed after 10 s.
    ///
    /// # Errors
    /// It cannot be started, or takes too long.
    pub fn run(&self, file: &Path, words: &[impl AsRef<OsStr>]) -> Result<Said, Silent> {
        let mut command = Command::new(self.at(file));
        program::run(command.args(words), LIMIT)
    }

    /// `path` with the home folder as `$HOME`.
    pub fn short(&self, path: &Path) -> String {
        match path.strip_prefix(self.home()) {
            Ok(rest) if rest.as_os_str().is_empty() => "$HOME".to_owned(),
            Ok(rest) => format!("$HOME/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }

    /// Real user and group ids.
    pub fn ids(&self) -> Option<(u32, u32)> {
        let status = self.read("/proc/self/status")?;
        let first = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some((first("Uid:")?, first("Gid:")?))
    }

    /// The name of a user id, or the number.
    pub fn user_name(&self, uid: u32) -> String {
        let users = self.read("/etc/passwd").unwrap_or_default();
        let number = uid.to_string();
        let named = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
        });
        named.unwrap_or(number)
    }

    /// Whether this is a container: marker files, control groups, or variables say so.
    pub fn is_container(&self) -> bool {
        let groups = self.read("/proc/1/cgroup").unwrap_or_default();
        self.exists("/.dockerenv")
            || self.exists("/run/.containerenv")
            || ["docker", "containerd", "podman", "lxc"].iter().any(|word| groups.contains(word))
            || self.var("container").is_some()
            || self.var("DOCKER_CONTAINER").is_some()
    }
}
