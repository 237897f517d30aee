//! The command line of `etcd-auth`, by which a chart's job turns on the authentication of its etcd.
//! Passwords are in the environment, where no list of processes shows them.

use super::{
    Exit, LogFlags,
    checks::{self, refused},
    parse,
    table::ETCD_AUTH,
};

/// The first word of the command line.
const WORD: &str = "etcd-auth";

/// Which etcd, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAuthFlags {
    /// URLs of the members, at least one.
    pub endpoints: Vec<String>,
    /// File with the authority of their certificates; `None` is what the system trusts.
    pub authority: Option<String>,
    /// Files with the certificate to show and its key.
    pub identity: Option<(String, String)>,
    /// Whether any certificate of a member is taken.
    pub insecure: bool,
    pub user: String,
    pub log: LogFlags,
}

impl EtcdAuthFlags {
    /// Parses the words after the program's name; `None` when they are another command's.
    ///
    /// # Errors
    /// See [`Exit`].
    pub fn parse(words: &[String]) -> Result<Option<Self>, Exit> {
        let Some((WORD, rest)) = words.split_first().map(|(word, rest)| (word.as_str(), rest)) else {
            return Ok(None);
        };
        let parsed = parse(ETCD_AUTH, rest.iter().cloned())?;
        let log = checks::log(&parsed)?;
        let authority = parsed.filled("ca-file");
        let missing = |name: &str, other: &str| {
            Exit::Refused(format!("--{name} is required with --{other}: name both"))
        };
        let identity = match (parsed.filled("cert-file"), parsed.filled("key-file")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(missing("key-file", "cert-file")),
            (None, Some(_)) => return Err(missing("cert-file", "key-file")),
        };
        let insecure = parsed.boolean("insecure-skip-tls-verify");
        if insecure && authority.is_some() {
            let rule = "must not be given with --ca-file: nothing is verified then";
            return Err(refused("insecure-skip-tls-verify", insecure, rule));
        }
        let tls = authority.is_some() || identity.is_some() || insecure;
        let scheme = if tls { "https" } else { "http" };
        let given = parsed.list("endpoints").iter().flat_map(|list| list.split(','));
        let given = given.map(str::trim).filter(|address| !address.is_empty());
        let endpoints = given.map(|address| endpoint(address, scheme)).collect::<Result<Vec<_>, Exit>>()?;
        if endpoints.is_empty() {
            return Err(refused("endpoints", "", "is required: name the members of the cluster"));
        }
        let user = parsed
            .filled("user")
            .ok_or_else(|| refused("user", "", "must name a user; etcd's administrator is root"))?;
        Ok(Some(Self { endpoints, authority, identity, insecure, user, log }))
    }
}

/// The URL of a member.
fn endpoint(address: &str, scheme: &str) -> Result<String, Exit> {
    let url = if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.trim_end_matches('/'));
    match authority
        .filter(|authority| !authority.is_empty() && !authority.contains(['/', '@', '?', '#', ' ']))
    {
        Some(_) => Ok(url.trim_end_matches('/').to_owned()),
        None => {
            Err(refused("endpoints", address, "must be <host>:<port>, with http:// or https:// before it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<EtcdAuthFlags>, Exit> {
        EtcdAuthFlags::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_without_a_scheme_are_taken_by_tls_when_there_are_files_for_it() {
        let flags = parse("etcd-auth --endpoints=a:2379,http://b:2379/ --endpoints c:1").unwrap().unwrap();
        assert_eq!(flags.endpoints, ["http://a:2379", "http://b:2379", "http://c:1"]);
        assert_eq!((flags.user.as_str(), flags.authority, flags.identity), ("root", None, None));
        let line = "etcd-auth --endpoints=a:2379 --ca-file=ca --cert-file=crt --key-file=key --user=x";
        let flags = parse(line).unwrap().unwrap();
        assert_eq!(flags.endpoints, ["https://a:2379"]);
        assert_eq!((flags.user.as_str(), flags.authority.as_deref()), ("x", Some("ca")));
        assert_eq!(flags.identity, Some(("crt".to_owned(), "key".to_owned())));
        assert!(!flags.insecure);
        let flags = parse("etcd-auth --endpoints=a:2379 --insecure-skip-tls-verify").unwrap().unwrap();
        assert_eq!((flags.endpoints, flags.insecure), (vec!["https://a:2379".to_owned()], true));
    }

    #[test]
    fn other_command_lines_are_not_this_one_and_broken_ones_are_named() {
        for line in ["", "--enable-webhooks", "webhook-certificate generate"] {
            assert_eq!(parse(line).unwrap(), None);
        }
        for (line, code, named) in [
            ("etcd-auth", 1, "--endpoints"),
            ("etcd-auth --endpoints=,", 1, "--endpoints"),
            ("etcd-auth --endpoints=ftp://a", 1, "\"ftp://a\""),
            ("etcd-auth --endpoints=root:secret@a:1", 1, "must be <host>:<port>"),
            ("etcd-auth --endpoints=a:1 --cert-file=c", 1, "--key-file is required"),
            ("etcd-auth --endpoints=a:1 --key-file=c", 1, "--cert-file is required"),
            ("etcd-auth --endpoints=a:1 --user=", 1, "--user"),
            ("etcd-auth --endpoints=a:1 --ca-file=c --insecure-skip-tls-verify", 1, "with --ca-file"),
            ("etcd-auth --natsAddr=a", 2, "--ca-file"),
            ("etcd-auth --endpoints=a:1 --zap-log-level=loud", 2, "--ca-file"),
            ("etcd-auth --help", 0, "--ca-file"),
        ] {
            let exit = parse(line).unwrap_err();
            assert_eq!(exit.code(), code, "{line}: {exit}");
            assert!(exit.to_string().contains(named), "{line}: {exit}");
        }
    }
}
