//! The command lines of the chart's hook jobs: `webhook-certificate generate|inject` and the flags of the webhooks.
//! The flags are those of the operator; here only what a job needs is required.

use crate::certs::Configurations;

use super::{
    Exit, LogFlags,
    checks::{self, refused},
    document::usage,
    parse,
    table::GROUPS,
};

/// The first word of the command line of a job.
const WORD: &str = "webhook-certificate";

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Make the certificate unless a good one is stored.
    Generate { service: String, days: u32 },
    /// Publish the stored bundle.
    Inject { registrations: Configurations },
}

/// A job, and where its Secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFlags {
    pub job: Job,
    pub secret: String,
    /// `None` is the namespace of the job's own pod.
    pub namespace: Option<String>,
    pub kubeconfig: Option<String>,
    pub log: LogFlags,
}

impl JobFlags {
    /// Parses the words after the program's name; `None` when they are not those of a job.
    ///
    /// # Errors
    /// See [`Exit`].
    pub fn parse(words: &[String]) -> Result<Option<Self>, Exit> {
        let Some((WORD, rest)) = words.split_first().map(|(word, rest)| (word.as_str(), rest)) else {
            return Ok(None);
        };
        let Some((job, rest)) = rest.split_first() else {
            return Err(Exit::Usage(format!("{WORD}: say generate or inject\n{}", usage(GROUPS))));
        };
        let parsed = parse(GROUPS, rest.iter().cloned())?;
        let required = |name: &str| {
            parsed.filled(name).ok_or_else(|| refused(name, "", &format!("is required by {WORD} {job}")))
        };
        let job = match job.as_str() {
            "generate" => Job::Generate {
                service: required("webhook-service")?,
                days: checks::certificate_days(&parsed)?,
            },
            "inject" => Job::Inject {
                registrations: Configurations {
                    validating: required("webhook-validating-configuration")?,
                    mutating: required("webhook-mutating-configuration")?,
                },
            },
            other => {
                return Err(Exit::Usage(format!(
                    "{WORD} {other:?}: say generate or inject\n{}",
                    usage(GROUPS)
                )));
            }
        };
        Ok(Some(Self {
            job,
            secret: required("webhook-certificate-secret")?,
            namespace: parsed.filled("webhook-namespace"),
            kubeconfig: parsed.filled("kubeconfig"),
            log: checks::log(&parsed)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<JobFlags>, Exit> {
        JobFlags::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_lines_of_the_chart_are_understood() {
        let generate = "webhook-certificate generate --webhook-certificate-secret=s --webhook-service=svc \
                        --webhook-namespace=ns --webhook-certificate-validity=30";
        let flags = parse(generate).unwrap().unwrap();
        assert_eq!(flags.job, Job::Generate { service: "svc".into(), days: 30 });
        assert_eq!((flags.secret.as_str(), flags.namespace.as_deref()), ("s", Some("ns")));
        let inject = "webhook-certificate inject --webhook-namespace=ns --webhook-validating-configuration=v \
                      --webhook-mutating-configuration=m";
        let registrations = Configurations { validating: "v".into(), mutating: "m".into() };
        assert_eq!(parse(inject).unwrap().unwrap().job, Job::Inject { registrations });
    }

    #[test]
    fn other_command_lines_are_not_jobs_and_broken_ones_are_named() {
        assert_eq!(parse("--enable-webhooks").unwrap(), None);
        assert_eq!(parse("").unwrap(), None);
        for (line, named) in [
            ("webhook-certificate", "say generate or inject"),
            ("webhook-certificate rotate", "rotate"),
            ("webhook-certificate generate", "--webhook-service"),
            (
                "webhook-certificate inject --webhook-validating-configuration=v",
                "--webhook-mutating-configuration",
            ),
        ] {
            let message = parse(line).unwrap_err().to_string();
            assert!(message.contains(named), "{line}: {message}");
        }
    }
}
