//! A saved report against the machine as it is now.

use crate::host::Host;

#[test]
fn only_what_changed_since_the_saved_report_is_printed() {
    let host = Host::complete();
    let saved = host.at("/saved.json");
    std::fs::write(&saved, host.run(&["--json"]).stdout).unwrap();
    let words = ["--compare", saved.to_str().unwrap()];
    host.file("/proc/meminfo", "MemTotal: 65430000 kB\nMemAvailable: 65000000 kB\n");
    let same = host.run(&words);
    assert_eq!((same.stdout.as_str(), same.code), ("nothing changed\n", 0), "used memory moves by itself");
    host.package("sglang", "0.5.0", &["sglang/__init__.py"]);
    host.remove("/usr/bin/maturin");
    host.smi("GPU 0: NVIDIA H200 (UUID: GPU-1)", "NVIDIA H200, 1, 2, 3, 143771");
    let changed = host.run(&words);
    insta::assert_snapshot!("changes", changed.stdout);
    assert_eq!(changed.code, host.run(&[]).code, "the comparison does not change the exit code");
}

#[test]
fn a_file_that_is_no_report_is_wrong_use() {
    let host = Host::bare();
    host.file("/x", "[1");
    for file in ["/nonexistent", host.at("/x").to_str().unwrap()] {
        let answer = host.run(&["--compare", file]);
        assert_eq!(answer.code, 2);
        assert!(answer.stderr.contains("dynamoctl sanity --json > FILE"), "{}", answer.stderr);
    }
}
