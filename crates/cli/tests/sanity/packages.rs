//! Python packages, told by their metadata.

use crate::host::{Host, SITE};

#[test]
fn frameworks_are_told_by_metadata_and_no_framework_is_imported() {
    let host = Host::bare();
    let calls = host.at("/calls");
    host.program("python3", &format!("echo \"$@\" >> {}; echo Python 3.12.3", calls.display()));
    host.package("vllm", "0.14.1", &["vllm/__init__.py"]);
    host.package("sglang", "0.5.0", &["sglang/__init__.py"]);
    host.program("sglang", "exit 0");
    let answer = host.run(&[]);
    assert_eq!(answer.line("vLLM"), format!("✅ vLLM: 0.14.1, module={SITE}/vllm"));
    assert_eq!(
        answer.line("Sglang"),
        format!("✅ Sglang: 0.5.0, module={SITE}/sglang, exec=/usr/bin/sglang")
    );
    assert_eq!(std::fs::read_to_string(calls).unwrap(), "--version\n");
}

#[test]
fn a_framework_that_needs_a_gpu_is_a_warning_without_one() {
    let host = Host::bare();
    host.package("tensorrt_llm", "1.0.0", &["tensorrt_llm/__init__.py"]);
    let answer = host.run(&[]);
    assert!(answer.line("tensorRT LLM").starts_with("⚠️ tensorRT LLM: 1.0.0 (requires GPU)"));
    assert!(answer.line("Framework").starts_with("⚠️ "));
    host.smi("GPU 0: NVIDIA L4 (UUID: GPU-1)", "NVIDIA L4, 1, 2, 3, 23034");
    assert!(host.run(&[]).line("tensorRT LLM").starts_with("✅ tensorRT LLM: 1.0.0,"));
}

#[test]
fn pytorch_is_asked_in_a_child_and_its_answer_is_told() {
    let host = Host::bare();
    host.package("torch", "2.9.0", &["torch/__init__.py"]);
    host.program("python3", "case $1 in -c) echo True;; *) echo Python 3.12.3;; esac");
    assert_eq!(host.run(&[]).line("PyTorch"), "✅ PyTorch: 2.9.0, torch.cuda.is_available=True");
    host.program("python3", "case $1 in -c) exit 1;; *) echo Python 3.12.3;; esac");
    assert_eq!(host.run(&[]).line("PyTorch"), "⚠️ PyTorch: 2.9.0, torch.cuda.is_available=not known");
}

#[test]
fn nixl_is_told_in_each_of_its_states() {
    let mut host = Host::bare();
    host.program("python3", "echo Python 3.12.3");
    assert_eq!(host.run(&[]).line("NIXL"), "❓ NIXL: not installed");
    host.package("nixl", "0.6.0", &[]);
    assert!(host.run(&[]).line("NIXL").starts_with("⚠️ NIXL: nixl 0.6.0, library=no libnixl.so"));
    host.file("/opt/n/lib64/libnixl.so", "");
    host.env("NIXL_PREFIX", "/opt/n");
    assert_eq!(host.run(&[]).line("NIXL"), "✅ NIXL: nixl 0.6.0, library=/opt/n/lib64/libnixl.so");
}

#[test]
fn entries_of_pythonpath_that_do_not_exist_are_named() {
    let mut host = Host::bare();
    host.program("python3", "echo Python 3.12.3");
    host.env("PYTHONPATH", "/usr/bin:/gone");
    let answer = host.run(&[]);
    assert_eq!(answer.line("PYTHONPATH"), "⚠️ PYTHONPATH: /usr/bin:/gone");
    assert_eq!(answer.line("does not exist: "), "⚠️ does not exist: /gone");
}

#[test]
fn several_cores_of_the_runtime_are_a_warning() {
    let mut host = Host::complete();
    assert!(!host.run(&[]).stdout.contains("several _core"));
    host.file("/old/dynamo/_core.abi3.so", "");
    host.env("PYTHONPATH", "/old:/home/dynamo/dynamo/components/src");
    let line = host.run(&[]).line("several _core*.so");
    assert!(
        line.starts_with(&format!("⚠️ several _core*.so: /old/dynamo/_core.abi3.so, {SITE}/dynamo/")),
        "{line}"
    );
}
