//! What is allowed in a graph and still bites those who apply it: told by the command line beside the verdict, never by
//! admission. Known from the manifest alone.

use dynamo_api::v1alpha1::{DynamoGraphDeployment, SharedSpec};
use k8s_openapi::api::core::v1::Container;

use crate::adapter;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Path of the field, such as `spec.services[Worker].replicas`.
    pub field: String,
    /// The whole message, which begins with the field.
    pub text: String,
}

/// The words by which a program that is no shell shows that one was meant.
const SHELL_WORDS: [&str; 5] = ["&&", "||", "|", ";", ">"];

/// The traps of a graph, in the order of its fields.
#[must_use]
pub fn traps(dgd: &DynamoGraphDeployment) -> Vec<Trap> {
    let mut found = Vec::new();
    let mut tell = |field: String, words: &str| found.push(Trap { text: format!("{field}{words}"), field });
    if dgd.spec.restart.as_ref().is_some_and(|restart| !restart.id.is_empty()) {
        tell(
            "spec.restart".to_owned(),
            ": each new id restarts pods that run: take it out of manifests that are applied again with other ids",
        );
    }
    for (service, spec) in &dgd.spec.services {
        let field = format!("spec.services[{service}]");
        if adapter::is_enabled(spec) && spec.replicas.is_some() {
            tell(
                format!("{field}.replicas"),
                ": belongs to the scaling adapter once the graph is there, and an apply with another number is then \
                 refused: take it out, and scale the DynamoGraphDeploymentScalingAdapter",
            );
        }
        let Some(main) = main(spec) else { continue };
        let field = format!("{field}.extraPodSpec.mainContainer");
        check_words(&field, main, &mut tell);
    }
    found
}

fn main(spec: &SharedSpec) -> Option<&Container> {
    spec.extra_pod_spec.as_ref()?.main_container.as_ref()
}

/// Words that only a shell understands, where none runs.
fn check_words(field: &str, container: &Container, tell: &mut impl FnMut(String, &str)) {
    let command = container.command.as_deref().unwrap_or_default();
    let args = container.args.as_deref().unwrap_or_default();
    if command.iter().chain(args).any(|word| is_shell(word)) {
        return;
    }
    for (key, words) in [("command", command), ("args", args)] {
        for (at, word) in words.iter().enumerate() {
            if SHELL_WORDS.contains(&word.trim()) {
                tell(
                    format!("{field}.{key}[{at}]"),
                    ": is a word of a shell, and none runs here: the program gets it as it is; use command: \
                     [/bin/sh, -c] and one text in args",
                );
            } else if is_program_with_arguments(key, at, word) {
                tell(
                    format!("{field}.{key}[{at}]"),
                    ": is a whole command line in one word, and no shell runs that would split it: write one item for \
                     each word, or use command: [/bin/sh, -c]",
                );
            }
        }
    }
}

fn is_shell(word: &str) -> bool {
    let program = word.rsplit('/').next().unwrap_or(word);
    ["sh", "bash", "dash", "zsh", "ash"].contains(&program)
}

/// `python3 -m dynamo.vllm ...` where a program, or its first argument, should be.
fn is_program_with_arguments(key: &str, at: usize, word: &str) -> bool {
    let mut words = word.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_flag = |word: &str| word.starts_with('-') && word.len() > 1;
    match (key, at) {
        ("command", 0) => words.next().is_some(),
        ("args", 0) => first.starts_with("python") && words.any(is_flag),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(service: &Value) -> Vec<String> {
        let graph = json!({"metadata": {"name": "g"}, "spec": {"services": {"W": service}}});
        traps(&serde_json::from_value(graph).unwrap()).into_iter().map(|trap| trap.field).collect()
    }

    #[test]
    fn replicas_beside_an_adapter_are_a_trap_and_alone_they_are_none() {
        let adapter = json!({"enabled": true});
        assert_eq!(fields(&json!({"replicas": 2, "scalingAdapter": adapter})), ["spec.services[W].replicas"]);
        assert!(fields(&json!({"replicas": 2})).is_empty());
        assert!(fields(&json!({"scalingAdapter": adapter})).is_empty());
    }

    #[test]
    fn words_for_a_shell_are_a_trap_where_no_shell_runs() {
        let of = |command: Value, args: Value| {
            let main = json!({"command": command, "args": args});
            fields(&json!({"extraPodSpec": {"mainContainer": main}})).len()
        };
        assert_eq!(of(json!(["python3"]), json!(["-m", "x", "&&", "sleep"])), 1);
        assert_eq!(of(json!(["python3 -m x"]), json!([])), 1);
        assert_eq!(of(json!(null), json!(["python3 -m dynamo.vllm --model x"])), 1);
        assert_eq!(of(json!(["/bin/sh", "-c"]), json!(["python3 -m x && sleep 1"])), 0);
        assert_eq!(of(json!(["python3"]), json!(["-m", "dynamo.vllm", "--prompt", "a b; c"])), 0);
    }

    #[test]
    fn a_restart_id_in_a_manifest_is_a_trap() {
        let graph = json!({"metadata": {"name": "g"}, "spec": {"services": {}, "restart": {"id": "r1"}}});
        assert_eq!(traps(&serde_json::from_value(graph).unwrap())[0].field, "spec.restart");
    }
}
