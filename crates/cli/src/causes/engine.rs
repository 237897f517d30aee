//! What engines write when a model cannot be loaded, found in the end of a worker's log.
//! The words are those of vLLM, SGLang, TensorRT-LLM, their libraries and the platform's own runtime; they are no
//! contract, so a log without any of them says nothing.

/// The longest quotation of a log.
const LONGEST: usize = 300;

/// Words of a failed load, in lower case.
const LOAD_ERRORS: [&str; 25] = [
    "gatedrepoerror",
    "repositorynotfounderror",
    "you are trying to access a gated repo",
    "is not a valid model identifier",
    "is not a local folder",
    "401 client error",
    "403 client error",
    "429 client error",
    "localentrynotfounderror",
    "does not appear to have a file named",
    "unrecognized model in",
    "are not supported for now",
    "does not recognize this architecture",
    "error while deserializing header",
    "safetensorerror",
    "cuda out of memory",
    "torch.outofmemoryerror",
    "no available memory for the cache blocks",
    "is larger than the maximum number of tokens that can be stored in kv cache",
    "less than desired gpu memory utilization",
    "failed to load model",
    "failed to load the model",
    "error loading model",
    "cannot load model",
    "no space left on device",
];

/// The line that tells why a model was not loaded; of several the last one, in which engines repeat the cause.
pub(super) fn load_error(log: &str) -> Option<String> {
    let is_one = |line: &&str| {
        let line = line.to_lowercase();
        let is_error = ["error", "fail", "cannot", "not ", "out of memory", "no space"]
            .iter()
            .any(|word| line.contains(word));
        is_error && LOAD_ERRORS.iter().any(|words| line.contains(words))
    };
    log.lines().map(str::trim).rfind(is_one).map(short)
}

/// The last line that says anything.
pub(super) fn last_line(log: &str) -> Option<String> {
    log.lines().map(str::trim).rfind(|line| !line.is_empty()).map(short)
}

fn short(line: &str) -> String {
    crate::layout::cut(line, Some(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_why_a_model_was_not_loaded_is_found_among_others() {
        let log = "INFO loading model weights\nTraceback (most recent call last):\n\
                   OSError: You are trying to access a gated repo.\nMake sure to have access\nRuntimeError: Engine core";
        assert_eq!(load_error(log).unwrap(), "OSError: You are trying to access a gated repo.");
        assert_eq!(last_line(log).unwrap(), "RuntimeError: Engine core");
        let memory = "ValueError: No available memory for the cache blocks. Try increasing it.\n\n";
        assert_eq!(load_error(memory).unwrap(), memory.trim());
    }

    #[test]
    fn a_log_without_such_words_says_nothing_of_the_model() {
        for log in
            ["", "INFO loading model weights took 3 s", "KeyError: 'x'", "error: cannot connect to NATS"]
        {
            assert_eq!(load_error(log), None, "{log}");
        }
    }
}
