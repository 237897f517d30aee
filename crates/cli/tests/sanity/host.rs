//! A machine below a temporary folder. Nothing of the machine that runs the tests shows through but the size of its
//! disk.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::Command,
};

use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dynamoctl");
/// Someone who owns nothing.
const NOBODY: u32 = 65_534;
pub const SITE: &str = "/usr/local/lib/python3.12/site-packages";

pub struct Host {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The line of a node, without its connectors.
    pub fn line(&self, part: &str) -> String {
        let line = self.stdout.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("no {part:?} in {}", self.stdout));
        line.trim_start_matches(['│', '├', '└', '─', ' ']).to_owned()
    }

    pub fn top(&self) -> Vec<String> {
        let lines =
            self.stdout.lines().filter_map(|line| line.strip_prefix("├─ ").or(line.strip_prefix("└─ ")));
        lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
    }
}

impl Host {
    /// A container without GPUs, Python, Rust or Dynamo.
    pub fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let env = [("PATH", "/usr/bin"), ("HOME", "/home/dynamo")];
        let host = Self { folder, env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into() };
        for (path, text) in [
            ("/etc/os-release", "NAME=\"Ubuntu\"\nVERSION=\"22.04\"\n"),
            ("/etc/passwd", "root:x:0:0::/root:/bin/sh\ndynamo:x:1000:1000::/home/dynamo:/bin/sh\n"),
            ("/proc/sys/kernel/hostname", "h1\n"),
            ("/proc/sys/kernel/ostype", "Linux\n"),
            ("/proc/sys/kernel/osrelease", "5.15\n"),
            ("/proc/meminfo", "MemTotal: 65430000 kB\nMemAvailable: 44350000 kB\n"),
            ("/proc/cpuinfo", "processor : 0\n\nprocessor : 1\n"),
            ("/proc/1/cgroup", "0::/\n"),
            ("/proc/self/status", "Name: x\nUid:\t1000\t1000\t1000\t1000\nGid:\t0\t0\t0\t0\n"),
            ("/proc/self/mounts", "overlay / overlay rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid 0 0\n"),
            (
                "/proc/self/limits",
                "Limit Soft Hard Units\nMax open files 1024 4096 files\nMax stack size 8388608 unlimited bytes\n",
            ),
            (
                "/proc/net/route",
                "Iface Destination Gateway Flags RefCnt Use Metric Mask\n\
                eth1 00000000 0100000A 0003 0 0 0 00000000\neth1 0000000A 00000000 0001 0 0 0 00FFFFFF\n",
            ),
            (
                "/proc/net/fib_trie",
                "Main:\n  |-- 1.2.3.4\n    /32 host LOCAL\n  |-- 10.0.0.5\n    /32 host LOCAL\n  |-- 127.0.0.1\n    /32 host LOCAL\n",
            ),
            ("/dev/shm/.keep", ""),
            ("/.dockerenv", ""),
        ] {
            host.file(path, text);
        }
        host
    }

    /// The same with one GPU, a framework, build tools and a checkout: nothing is in error.
    pub fn complete() -> Self {
        let mut host = Self::bare();
        host.smi("GPU 0: NVIDIA H100 (UUID: GPU-1)", "NVIDIA H100, 70.1, 700.0, 100, 81559");
        host.program("python3", "echo Python 3.12.3");
        host.program("vllm", "exit 0");
        host.program("cargo", "echo cargo 1.95.0");
        host.program("maturin", "echo maturin 1.8.1");
        host.package("vllm", "0.14.1", &["vllm/__init__.py"]);
        host.package("ai_dynamo", "0.9.0", &[]);
        host.package("ai_dynamo_runtime", "0.9.0", &["dynamo/_core.abi3.so", "dynamo/runtime/__init__.py"]);
        host.checkout();
        for folder in ["/home/dynamo/.rustup", "/home/dynamo/.cargo"] {
            host.file(&format!("{folder}/.keep"), "");
        }
        host.env("PYTHONPATH", "/home/dynamo/dynamo/components/src");
        host
    }

    /// A checkout of Dynamo with one component.
    pub fn checkout(&self) {
        for file in [
            "README.md",
            "Cargo.toml",
            "lib/runtime/Cargo.toml",
            "lib/bindings/python/Cargo.toml",
            "components/src/dynamo/frontend/__init__.py",
            "target/debug/libx.so",
        ] {
            self.file(&format!("/home/dynamo/dynamo/{file}"), "");
        }
        self.file("/home/dynamo/dynamo/.git/HEAD", "ref: refs/heads/main\n");
        self.file("/home/dynamo/dynamo/.git/refs/heads/main", "0123456789abcdef\n");
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn remove(&self, path: &str) {
        let path = self.at(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).unwrap();
    }

    pub fn program(&self, name: &str, script: &str) {
        self.file(&format!("/usr/bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        self.mode(&format!("/usr/bin/{name}"), 0o755);
    }

    /// An nvidia-smi that lists GPUs and tells their figures.
    pub fn smi(&self, list: &str, figures: &str) {
        self.program(
            "nvidia-smi",
            &format!(
                "case \"$1\" in -L) echo '{list}';; --query-gpu*) echo '{figures}';; \
                 *) echo '| Driver Version: 550.54 CUDA Version: 12.4 |';; esac"
            ),
        );
    }

    /// A distribution with its metadata and the files of its modules.
    pub fn package(&self, name: &str, version: &str, files: &[&str]) {
        let metadata =
            format!("Metadata-Version: 2.1\nName: {}\nVersion: {version}\n", name.replace('_', "-"));
        self.file(&format!("{SITE}/{name}-{version}.dist-info/METADATA"), &metadata);
        for file in files {
            self.file(&format!("{SITE}/{file}"), "");
        }
    }

    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("sanity").args(words).arg("--root").arg(self.folder.path());
        command.current_dir("/").env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, words: &[&str]) -> Answer {
        Self::answer(&mut self.command(words))
    }

    /// The same as a user that owns none of the files; where the tests have no right to become one, as themselves.
    pub fn run_as_nobody(&self, words: &[&str]) -> Answer {
        let mut command = self.command(words);
        let is_root = fs::metadata("/proc/self").is_ok_and(|about| {
            use std::os::unix::fs::MetadataExt;
            about.uid() == 0
        });
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self::answer(&mut command)
    }

    fn answer(command: &mut Command) -> Answer {
        let output = command.output().unwrap();
        Answer {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// `text` without what the disk, the processor and the clock of the testing machine say.
pub fn stable(text: &str) -> String {
    let text = text.replace(std::env::consts::ARCH, "ARCH");
    let is_thorough = text.contains("% used)");
    let lines = text.lines().map(|line| {
        let line = cut(line, "Shared memory (/dev/shm): ", ", writable", "SPACE");
        let line = cut(&line, "writable, all ", " files", "N");
        let line = cut(&line, "modified=", "Z", "TIME");
        let line = cut(&line, "downloaded=", "Z", "TIME");
        let line = cut(&line, "files writable, ", "% used)", "SPACE");
        // A disk that is nearly full is a warning of each folder, and of all of them together.
        let of_disk = line.contains("SPACE% used") || (is_thorough && line.contains(" File System"));
        if of_disk { line.replace("✅ ", "").replace("⚠️ ", "") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands between `from` and `to` as `word`.
fn cut(line: &str, from: &str, to: &str, word: &str) -> String {
    let Some((before, rest)) = line.split_once(from) else { return line.to_owned() };
    let Some((_, after)) = rest.split_once(to) else { return line.to_owned() };
    format!("{before}{from}{word}{to}{after}")
}
