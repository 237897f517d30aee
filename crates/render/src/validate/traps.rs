//! What is allowed in a graph and still bites those who apply it: told by the command line beside the verdict, never by
//! admission. Known from the manifest alone.

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, SharedSpec};
use k8s_openapi::api::core::v1::Container;

use crate::{adapter, checkpoint::wanted};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Path of the field, such as `spec.services[Worker].replicas`.
    pub field: String,
    /// The whole message, which begins with the field.
    pub text: String,
    /// Whether the API server refuses it, by a rule of the schema that is written as an expression.
    pub is_refused: bool,
}

/// The words by which a program that is no shell shows that one was meant.
const SHELL_WORDS: [&str; 5] = ["&&", "||", "|", ";", ">"];

/// The traps of a graph, in the order of its fields.
#[must_use]
pub fn traps(dgd: &DynamoGraphDeployment) -> Vec<Trap> {
    let mut found = Vec::new();
    if dgd.spec.restart.as_ref().is_some_and(|restart| !restart.id.is_empty()) {
        let words = ": each new id restarts pods that run: take it out of manifests that are applied again with other ids";
        found.push(trap("spec.restart".to_owned(), words));
    }
    for (service, spec) in &dgd.spec.services {
        let field = format!("spec.services[{service}]");
        if adapter::is_enabled(spec) && spec.replicas.is_some() {
            let words = ": belongs to the scaling adapter once the graph is there, and an apply with another number is \
                         then refused: take it out, and scale the DynamoGraphDeploymentScalingAdapter";
            found.push(trap(format!("{field}.replicas"), words));
        }
        of_spec(&field, spec, &mut found);
    }
    found
}

/// The traps of a component deployment.
#[must_use]
pub fn component_traps(dcd: &DynamoComponentDeployment) -> Vec<Trap> {
    let mut found = Vec::new();
    of_spec("spec", &dcd.spec.shared, &mut found);
    found
}

fn trap(field: String, words: &str) -> Trap {
    Trap { text: format!("{field}{words}"), field, is_refused: false }
}

/// What a service and a component have in common.
fn of_spec(field: &str, spec: &SharedSpec, found: &mut Vec<Trap>) {
    if let Some(checkpoint) = spec.checkpoint.as_ref().filter(|it| it.enabled && wanted(it).is_none()) {
        let words = match checkpoint.checkpoint_ref {
            Some(_) => ".checkpointRef: is empty: name a DynamoCheckpoint, or give identity",
            None => ": names no checkpoint: give checkpointRef, or identity with model and backendFramework",
        };
        let text = format!("{field}.checkpoint{words}");
        found.push(Trap { field: format!("{field}.checkpoint"), text, is_refused: true });
    }
    if let Some(main) = main(spec) {
        let field = format!("{field}.extraPodSpec.mainContainer");
        check_words(&field, main, &mut |field, words| found.push(trap(field, words)));
    }
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
    fn a_checkpoint_that_is_asked_for_and_not_named_is_refused_by_the_api_server() {
        let of = |checkpoint: Value| {
            let graph =
                json!({"metadata": {"name": "g"}, "spec": {"services": {"W": {"checkpoint": checkpoint}}}});
            traps(&serde_json::from_value(graph).unwrap())
        };
        let none = of(json!({"enabled": true}));
        assert!(none[0].is_refused && none[0].field == "spec.services[W].checkpoint", "{none:?}");
        assert!(of(json!({"enabled": true, "checkpointRef": ""}))[0].is_refused);
        assert!(of(json!({"enabled": true, "checkpointRef": "a"})).is_empty());
        assert!(of(json!({"enabled": false})).is_empty());
    }

    #[test]
    fn a_restart_id_in_a_manifest_is_a_trap() {
        let graph = json!({"metadata": {"name": "g"}, "spec": {"services": {}, "restart": {"id": "r1"}}});
        assert_eq!(traps(&serde_json::from_value(graph).unwrap())[0].field, "spec.restart");
    }
}
