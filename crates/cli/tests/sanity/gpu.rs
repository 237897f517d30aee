//! GPUs: every answer of nvidia-smi, and machines that should have GPUs and have none.

use std::time::{Duration, Instant};

use crate::host::Host;

#[test]
fn no_gpu_is_a_warning_unless_one_is_expected() {
    let line = |change: &dyn Fn(&mut Host)| {
        let mut host = Host::bare();
        change(&mut host);
        host.run(&[]).line("NVIDIA GPU")
    };
    assert_eq!(line(&|_| {}), "⚠️ NVIDIA GPU: nvidia-smi not found");
    assert_eq!(
        line(&|host| host.env("NVIDIA_VISIBLE_DEVICES", "void")),
        "⚠️ NVIDIA GPU: nvidia-smi not found"
    );
    assert_eq!(
        line(&|host| host.env("NVIDIA_VISIBLE_DEVICES", "all")),
        "❌ NVIDIA GPU: nvidia-smi not found"
    );
    assert_eq!(line(&|host| host.file("/dev/nvidia0", "")), "❌ NVIDIA GPU: nvidia-smi not found");
    assert_eq!(line(&|host| host.file("/dev/nvidiactl", "")), "⚠️ NVIDIA GPU: nvidia-smi not found");
}

#[test]
fn one_gpu_tells_its_figures_and_several_each_theirs() {
    let host = Host::bare();
    host.smi("GPU 0: NVIDIA L4 (UUID: GPU-1)", "NVIDIA L4, 30.5, 72.0, 22000, 23034");
    let answer = host.run(&[]);
    assert_eq!(
        answer.line("NVIDIA GPU"),
        "✅ NVIDIA GPU: NVIDIA L4, Power=30.5/72.0 W, Memory=22000/23034 MiB ⚠️"
    );
    assert_eq!(answer.line("Driver version"), "Driver version: 550.54");
    assert_eq!(answer.line("nvidia-smi CUDA"), "nvidia-smi CUDA: 12.4 (driver max supported)");
    host.smi(
        "GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 1: NVIDIA L4 (UUID: GPU-2)",
        "NVIDIA L4, 30.5, 72.0, 1, 23034\nNVIDIA L4, [N/A], [N/A], 2, 23034",
    );
    let answer = host.run(&[]);
    assert_eq!(answer.line("NVIDIA GPU"), "✅ NVIDIA GPU: 2 GPUs");
    assert_eq!(answer.line("GPU 1"), "GPU 1: NVIDIA L4, Stats=Power: [N/A]/[N/A] W; Memory: 2/23034 MiB");
}

#[test]
fn failures_of_nvidia_smi_are_told_by_their_cause() {
    let line = |script: &str, container: bool| {
        let host = Host::bare();
        if !container {
            host.remove("/.dockerenv");
        }
        host.program("nvidia-smi", script);
        host.run(&[]).line("NVIDIA GPU")
    };
    let nvml = "echo 'Failed to initialize NVML: Unknown Error'; exit 255";
    let text = "❌ NVIDIA GPU: No NVIDIA GPU detected (NVML initialization failed)";
    assert_eq!(line(nvml, false), text);
    assert_eq!(line(nvml, true), format!("{text} - maybe try a docker restart?"));
    assert_eq!(line("echo out; echo broken >&2; exit 1", true), "❌ NVIDIA GPU: broken");
    let empty = "[ $# -gt 0 ] || echo 'Driver Version: 1.2 CUDA Version: 3.4'";
    assert_eq!(line(empty, true), "⚠️ NVIDIA GPU: not detected, driver 1.2, CUDA 3.4");
}

#[test]
fn a_hanging_nvidia_smi_is_given_up_after_ten_seconds() {
    let host = Host::bare();
    host.program("nvidia-smi", "/bin/sleep 100");
    let began = Instant::now();
    let answer = host.run(&[]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(answer.line("NVIDIA GPU"), "❌ NVIDIA GPU: detection failed");
    assert!(answer.line("Reason").contains("no answer within 10 s"), "{}", answer.stdout);
}

#[test]
fn the_toolkit_is_told_in_each_of_its_states() {
    let host = Host::bare();
    assert!(!host.run(&[]).stdout.contains("nvcc"));
    host.program("nvcc", "echo 'Cuda compilation tools, release 12.4, V12.4.131'");
    assert_eq!(host.run(&[]).line("nvcc CUDA"), "nvcc CUDA: 12.4 (installed toolkit)");
    host.program("nvcc", "echo strange");
    assert_eq!(host.run(&[]).line("nvcc CUDA"), "⚠️ nvcc CUDA: version not detected");
    host.program("nvcc", "exit 1");
    assert_eq!(host.run(&[]).line("nvcc CUDA"), "nvcc CUDA: nvcc not found");
}
