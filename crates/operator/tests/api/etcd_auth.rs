//! `etcd-auth` against a real etcd, by its command line.

use std::process::{Command, Output};

use dynamo_devkit::{
    control_plane::{free_ports, supervised::Supervised},
    pki::Authority,
    tools::{self, Tool},
};

use crate::PROGRAM;

/// A running etcd, and the folder of its data and keys.
struct Etcd {
    _process: Supervised,
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Etcd {
    fn start(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let [client, peer] = free_ports::<2>().unwrap();
        let scheme = if tls { "https" } else { "http" };
        let (endpoint, peer) = (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut args = vec![
            format!("--data-dir={}", at("data")),
            format!("--listen-client-urls={endpoint}"),
            format!("--advertise-client-urls={endpoint}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ];
        if tls {
            let authority = Authority::new("etcd").unwrap();
            std::fs::write(at("ca.crt"), authority.certificate()).unwrap();
            authority.write_server(folder.path(), "server", &["127.0.0.1"]).unwrap();
            authority.write_client(folder.path(), "client", "", "").unwrap();
            authority.write_client(folder.path(), "named", "operator", "").unwrap();
            args.extend([
                format!("--cert-file={}", at("server.crt")),
                format!("--key-file={}", at("server.key")),
                format!("--trusted-ca-file={}", at("ca.crt")),
                // What etcd's own gateway shows to it.
                format!("--client-cert-file={}", at("client.crt")),
                format!("--client-key-file={}", at("client.key")),
                "--client-cert-auth".to_owned(),
            ]);
        }
        let program = tools::ensure(&[Tool::Etcd]).unwrap().program("etcd");
        let process = Supervised::start("etcd", &program, &args, folder.path().join("etcd.log")).unwrap();
        Self { _process: process, endpoint, folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs the command, to its end.
    fn auth(&self, password: &str, old: Option<&str>, more: &[&str]) -> (bool, String) {
        let mut command = Command::new(PROGRAM);
        command.arg("etcd-auth").arg(format!("--endpoints={}", self.endpoint)).args(more);
        command.env("ETCD_AUTH_PASSWORD", password).env_remove("ETCD_AUTH_OLD_PASSWORD");
        // The image has no certificates of public authorities.
        command.env("SSL_CERT_FILE", self.file("nothing")).env("SSL_CERT_DIR", self.file("nothing"));
        if let Some(old) = old {
            command.env("ETCD_AUTH_OLD_PASSWORD", old);
        }
        said(&command.output().unwrap())
    }
}

fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.success(), text.concat())
}

#[test]
fn authentication_is_turned_on_once_and_its_password_changed_on_demand() {
    let etcd = Etcd::start(false);
    // The first call comes before etcd listens, as a job's may.
    for (password, old, works, words) in [
        ("first", None, true, "it is on now"),
        ("first", None, true, "it was on, with this password"),
        ("second", None, false, "does not take the password in ETCD_AUTH_PASSWORD"),
        ("second", Some("wrong"), false, "nor the one in ETCD_AUTH_OLD_PASSWORD"),
        ("second", Some("first"), true, "the password is the new one now"),
        ("second", Some("first"), true, "it was on, with this password"),
        ("first", None, false, "does not take the password in ETCD_AUTH_PASSWORD"),
        ("", None, false, "ETCD_AUTH_PASSWORD is not set"),
    ] {
        let (worked, text) = etcd.auth(password, old, &[]);
        assert_eq!(worked, works, "{password} {old:?}: {text}");
        assert!(text.contains(words), "{password} {old:?}: {text}");
        let says_one = |password: &str| !password.is_empty() && text.contains(&format!("\"{password}\""));
        assert!(!says_one(password) && !old.is_some_and(says_one), "a password is in the log: {text}");
    }
}

#[test]
fn an_etcd_that_asks_for_certificates_gets_them() {
    let etcd = Etcd::start(true);
    let files = [
        format!("--ca-file={}", etcd.file("ca.crt")),
        format!("--cert-file={}", etcd.file("client.crt")),
        format!("--key-file={}", etcd.file("client.key")),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (worked, text) = etcd.auth("secret", None, &files);
    assert!(worked, "{text}");
    assert!(text.contains("it is on now"), "{text}");
    let (worked, text) = etcd.auth("secret", None, &files);
    assert!(worked && text.contains("it was on, with this password"), "{text}");
    let (worked, text) = etcd.auth("secret", None, &["--insecure-skip-tls-verify", files[1], files[2]]);
    assert!(worked && text.contains("it was on, with this password"), "{text}");
    let named =
        [format!("--cert-file={}", etcd.file("named.crt")), format!("--key-file={}", etcd.file("named.key"))];
    let (worked, text) = etcd.auth("secret", None, &[files[0], &named[0], &named[1]]);
    assert!(worked && text.contains("the password was not tried"), "{text}");
    let (worked, text) = etcd.auth("other", Some("secret"), &[files[0], &named[0], &named[1]]);
    assert!(!worked && text.contains("name one without in --cert-file"), "{text}");
}
