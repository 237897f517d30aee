//! Flags: what each leaves out, how they exclude each other, and one exit code for one machine.

use crate::host::{Host, stable};

#[test]
fn flags_that_exclude_each_other_and_unknown_ones_are_wrong_use() {
    let host = Host::bare();
    for words in [
        &["--thorough-check", "--terse"][..],
        &["--json", "--thorough-check"],
        &["--json", "--terse"],
        &["--json-output", "--terse"],
        &["--wrong"],
    ] {
        let answer = host.run(words);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{words:?}");
        assert!(answer.stderr.contains("Usage: dynamoctl sanity"), "{}", answer.stderr);
    }
}

#[test]
fn the_order_of_nodes_is_that_of_the_mode() {
    let host = Host::complete();
    let names = |words: &[&str]| {
        let top = host.run(words).top();
        top.iter()
            .map(|it| it.trim_start_matches(['✅', '⚠', '\u{fe0f}', '❌', ' ']).to_owned())
            .collect::<Vec<_>>()
    };
    let first = ["OS", "User info", "NVIDIA GPU", "🤖Framework"];
    let all = ["File System", "Hugging Face Cache", "Cargo", "Maturin", "Python", "Dynamo"];
    assert_eq!(names(&[]), [&first[..], &all].concat());
    assert_eq!(names(&["--terse"]), [&first[..], &["Dynamo"]].concat());
    for words in ["--runtime-check-only", "--runtime-check", "--runtime"] {
        let runtime = ["File System", "Hugging Face Cache", "Python", "Dynamo"];
        assert_eq!(names(&[words]), [&first[..], &runtime].concat());
    }
}

#[test]
fn terse_shows_what_is_in_error_with_python_before_the_build_tools() {
    let host = Host::bare();
    let all =
        ["OS", "⚠️ NVIDIA", "❌ 🤖", "❌ File System", "❌ Python", "❌ Cargo", "❌ Maturin", "❌ Dynamo"];
    let top = host.run(&["--terse"]).top();
    let top: Vec<&String> = top.iter().filter(|it| !it.contains("User info")).collect();
    assert_eq!(top.len(), all.len(), "{top:?}");
    for (is, expected) in top.into_iter().zip(all) {
        assert!(is.starts_with(expected), "{is} is not {expected}");
    }
}

#[test]
fn an_error_of_the_file_system_is_shown_and_gives_one_exit_code_in_every_mode() {
    let host = Host::complete();
    host.file("/not-a-folder", "");
    let mut broken = host;
    broken.env("RUSTUP_HOME", "/not-a-folder");
    for words in [&[][..], &["--terse"], &["--json"], &["--thorough-check"]] {
        let answer = broken.run(words);
        assert_eq!(answer.code, 1, "{words:?}");
        assert!(answer.stdout.contains("Path is not a directory"), "{words:?}: {}", answer.stdout);
    }
    assert!(broken.run(&[]).line("File System").starts_with("❌ "), "a parent is as bad as its worst child");
}

#[test]
fn json_is_one_line_of_plain_text_with_sorted_keys_and_advice() {
    let host = Host::bare();
    host.checkout();
    let answer = host.run(&["--json"]);
    assert_eq!(answer.stdout.lines().count(), 1);
    for mark in ["❌", "⚠", "🤖", "\u{1b}"] {
        assert!(!answer.stdout.contains(mark), "{mark:?} in {}", answer.stdout);
    }
    let document = answer.json();
    assert_eq!(answer.stdout.trim_end(), document.to_string(), "keys are sorted");
    assert_eq!(document["install_recommendation"][1], "cd lib/bindings/python && maturin develop");
    assert_eq!(document["install_recommendation"].as_array().unwrap().len(), 4);
    let tree = host.run(&[]).stdout;
    assert!(
        tree.ends_with("\nuv pip install -e .\nexport PYTHONPATH=$DYNAMO_HOME/components/src\n"),
        "{tree}"
    );
    assert_eq!(Host::complete().run(&["--json"]).json().get("install_recommendation"), None);
}

#[test]
fn gpu_and_framework_are_switched_off_independently() {
    let host = Host::complete();
    let without_framework = host.run(&["--no-framework-check"]);
    assert_eq!(without_framework.line("Framework"), "🤖Framework: skipped (--no-framework-check)");
    assert!(without_framework.stdout.contains("NVIDIA GPU"));
    let without_gpu = host.run(&["--no-gpu-check"]);
    assert!(!without_gpu.stdout.contains("NVIDIA GPU"), "{}", without_gpu.stdout);
    assert!(without_gpu.line("vLLM").starts_with("✅ vLLM: 0.14.1"));
}

#[test]
fn a_runtime_container_needs_no_checkout_and_fails_only_when_packages_do_not_import() {
    let host = Host::bare();
    host.package("vllm", "0.14.1", &["vllm/__init__.py"]);
    host.package("ai_dynamo_runtime", "0.9.0", &[]);
    let python = |imports: &str| {
        host.program("python3", &format!("case \"$*\" in --version) echo Python 3.12.3;; {imports} esac"));
        host.run(&["--runtime-check"])
    };
    let good = python("*_core|*runtime|*frontend) ;; *) echo ImportError: no >&2; exit 1;;");
    insta::assert_snapshot!("runtime", stable(&good.stdout));
    assert_eq!(good.code, 0, "one component is enough");
    let bare = python("*frontend) ;; *) echo ImportError: no >&2; exit 1;;");
    assert_eq!(bare.code, 1);
    assert!(bare.stdout.contains("❌ Runtime components: FAILED (essential modules not importable)"));
    let none = python("*_core|*runtime) ;; *) echo ImportError: no >&2; exit 1;;");
    assert_eq!(none.code, 1, "all components fail");
}

#[test]
fn one_writable_environment_is_enough_and_what_cannot_be_written_is_named() {
    let host = Host::complete();
    for folder in ["/home/dynamo/dynamo", "/home/dynamo/.rustup", "/home/dynamo/.cargo", crate::host::SITE] {
        host.mode(folder, 0o777);
    }
    host.mode("/home/dynamo/dynamo/.git", 0o777);
    host.mode("/home/dynamo/dynamo/target", 0o777);
    host.file("/usr/lib/python3/dist-packages/x", "");
    host.mode("/usr/lib/python3/dist-packages", 0o555);
    let answer = host.run_as_nobody(&[]);
    let line = "⚠️ site-packages (/usr/lib/python3/dist-packages): Directory not writable";
    assert_eq!(answer.line("dist-packages"), line);
    assert_eq!(answer.code, 0, "{}", answer.stdout);
    host.mode(crate::host::SITE, 0o555);
    let answer = host.run_as_nobody(&[]);
    assert!(answer.line("dist-packages").starts_with("❌ "));
    assert_eq!(answer.code, 1);
    host.mode(crate::host::SITE, 0o777);
    let file = format!("{}/vllm/__init__.py", crate::host::SITE);
    host.mode(&file, 0o444);
    let thorough = host.run_as_nobody(&["--thorough-check"]);
    assert!(
        thorough.line("site-packages (/usr/local").contains("files not writable: "),
        "{}",
        thorough.stdout
    );
}

#[test]
fn build_products_and_git_objects_are_left_out_of_the_counts() {
    let host = Host::complete();
    let line = |host: &Host| host.run(&["--thorough-check"]).line("Dynamo workspace");
    let count = |line: String| line.split_once("all ").unwrap().1.split_once(' ').unwrap().0.to_owned();
    let before = count(line(&host));
    host.file("/home/dynamo/dynamo/target/debug/more", "");
    host.file("/home/dynamo/dynamo/.git/objects/x", "");
    host.file("/home/dynamo/dynamo/a/node_modules/x", "");
    assert_eq!(count(line(&host)), before);
}
