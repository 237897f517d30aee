//! Which engine a worker runs, read from its command line (`workload.md` section 6.7).
//! Only workers have a backend; for every other type the answer is none.

use dynamo_api::v1alpha1::{BackendFramework, SharedSpec};

use crate::component::{ComponentType, Role};

const MODULES: [(&str, BackendFramework); 3] = [
    ("dynamo.vllm", BackendFramework::Vllm),
    ("dynamo.sglang", BackendFramework::Sglang),
    ("dynamo.trtllm", BackendFramework::Trtllm),
];

/// What the command line and the manifest say about the backend does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error(
        "backend framework mismatch: the command runs {found} but backendFramework is {explicit}; make them equal or \
         leave backendFramework out"
    )]
    Mismatch { found: BackendFramework, explicit: BackendFramework },
    #[error("runs several backends ({}): set backendFramework to the one that counts", list(.0))]
    Several(Vec<BackendFramework>),
}

fn list(backends: &[BackendFramework]) -> String {
    backends.iter().map(BackendFramework::as_str).collect::<Vec<_>>().join(", ")
}

/// The backend of a component: what its command line says, else `explicit`.
///
/// # Errors
/// When the command line says something else than `explicit`, or several things.
pub fn of(
    spec: &SharedSpec,
    explicit: Option<&BackendFramework>,
) -> Result<Option<BackendFramework>, Contradiction> {
    if Role::of(ComponentType::of(spec)) != Role::Worker {
        return Ok(None);
    }
    let container = spec.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.as_ref());
    let words = container.map_or_else(String::new, |container| {
        let words = container.command.iter().chain(&container.args).flatten();
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    });
    let found = detect(&words);
    match (&found[..], explicit) {
        ([], explicit) => Ok(explicit.cloned()),
        ([one], None) => Ok(Some(one.clone())),
        ([one], Some(explicit)) if one == explicit => Ok(Some(one.clone())),
        ([one], Some(explicit)) => {
            Err(Contradiction::Mismatch { found: one.clone(), explicit: explicit.clone() })
        }
        (_, Some(explicit)) => Ok(Some(explicit.clone())),
        (_, None) => Err(Contradiction::Several(found)),
    }
}

/// Backends named by a `python… -m … dynamo.X` inside one simple command, in the order of [`MODULES`].
fn detect(words: &str) -> Vec<BackendFramework> {
    let mut found = Vec::new();
    for command in words.split(['|', '&', ';']) {
        let words = command.split_whitespace().skip_while(|word| !word.contains("python"));
        let module: Vec<&str> = words.skip_while(|word| *word != "-m").collect();
        for (name, backend) in &MODULES {
            if module.iter().any(|word| word.contains(name)) && !found.contains(backend) {
                found.push(backend.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_found_only_behind_python_dash_m_in_one_command() {
        assert_eq!(detect("python3 -m dynamo.vllm --model x"), [BackendFramework::Vllm]);
        assert_eq!(detect("python3.12 -u -m dynamo.sglang"), [BackendFramework::Sglang]);
        assert_eq!(detect("ldconfig && exec python3 -m dynamo.trtllm"), [BackendFramework::Trtllm]);
        assert_eq!(detect("python3 setup.py; echo -m dynamo.vllm"), []);
        assert_eq!(detect("dynamo.vllm"), []);
        assert_eq!(detect("python3 serve.py --model dynamo.vllm"), []);
        assert_eq!(
            detect("python3 -m dynamo.vllm & python3 -m dynamo.sglang"),
            [BackendFramework::Vllm, BackendFramework::Sglang]
        );
    }
}
