//! What the environment says about the pods of graphs (`workload.md` sections 6.9, 17): the chart's Secret sets it.
//! Read once at start and put into the configuration of rendering, which knows no environment.

use dynamo_render::OperatorConfig;

use crate::flags::go_bool;

const DEBUGGER: &str = "INTERNAL_IMAGES_DEBUGGER";
const RESTRICTED: &str = "ENABLE_RESTRICTED_SECURITY_CONTEXT";

/// A variable has a value that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the variable {name} is {value:?}: {rule}")]
pub struct WrongValue {
    name: &'static str,
    value: String,
    rule: &'static str,
}

/// Lays the variables of this process over `config`; an empty one counts as absent.
pub(super) fn apply(config: &mut OperatorConfig) -> Result<(), WrongValue> {
    // A value that is no UTF-8 is a wrong value like any other.
    apply_from(config, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// Lays variables over `config` that somebody else reads, such as those of a Deployment.
///
/// # Errors
/// A variable has a value that cannot be read.
pub fn apply_from(
    config: &mut OperatorConfig,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<(), WrongValue> {
    let filled = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(image) = filled(DEBUGGER) {
        if image.contains(char::is_whitespace) {
            let rule = "must be the name of an image, without spaces";
            return Err(WrongValue { name: DEBUGGER, value: image, rule });
        }
        config.debugger_image = image;
    }
    if let Some(value) = filled(RESTRICTED) {
        let Some(restricted) = go_bool(&value) else {
            return Err(WrongValue { name: RESTRICTED, value, rule: "must be true or false" });
        };
        config.restricted_security = restricted;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dynamo_render::config::DEFAULT_DEBUGGER;

    use super::*;

    fn read(variables: &[(&'static str, &str)]) -> Result<OperatorConfig, WrongValue> {
        let mut config = OperatorConfig::default();
        let of =
            |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        apply_from(&mut config, of).map(|()| config)
    }

    #[test]
    fn absent_and_empty_variables_leave_the_defaults() {
        for variables in [&[][..], &[(DEBUGGER, ""), (RESTRICTED, "")]] {
            let config = read(variables).unwrap();
            assert_eq!(config.debugger_image, DEFAULT_DEBUGGER);
            assert!(!config.restricted_security);
        }
    }

    #[test]
    fn restricted_security_is_a_bool_as_go_reads_it() {
        for (text, on) in
            [("1", true), ("t", true), ("TRUE", true), ("True", true), ("0", false), ("F", false)]
        {
            assert_eq!(read(&[(RESTRICTED, text)]).unwrap().restricted_security, on, "{text}");
        }
        for text in ["yes", "tRUE", " true", "2"] {
            let message = read(&[(RESTRICTED, text)]).unwrap_err().to_string();
            assert!(message.contains(RESTRICTED) && message.contains(text), "{message}");
        }
    }

    #[test]
    fn the_debugger_image_is_the_one_of_the_installation() {
        let config = read(&[(DEBUGGER, "registry.example/py:1")]).unwrap();
        assert_eq!(config.debugger_image, "registry.example/py:1");
        let message = read(&[(DEBUGGER, "py thon")]).unwrap_err().to_string();
        assert!(message.contains(DEBUGGER), "{message}");
    }
}
