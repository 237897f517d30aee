//! What pods get of the platform's Secrets for NATS and etcd: which key becomes which variable or file, and when the
//! user's own settings stand instead. The Secrets are in the namespace of the pod; what they hold is found elsewhere.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::SharedSpec;
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, PodSpec, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};
use sha2::{Digest, Sha256};

use crate::parts::env;

/// Below it each Secret has a folder of its own.
const FOLDER: &str = "/var/run/secrets/nvidia.com";

/// What a Secret is for. The order is that of precedence: of two Secrets that give a variable the first counts, so that
/// a CA of its own goes before one that stands beside the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    NatsAuth,
    NatsCa,
    EtcdCa,
    EtcdAuth,
}

/// The Secrets that are in the namespace of a pod. None of a purpose that the installation does not have.
pub type Credentials = BTreeMap<Purpose, SecretKeys>;

/// A Secret as far as pods depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKeys {
    pub name: String,
    /// A text by key that changes with the content, and does not tell it.
    pub digests: BTreeMap<String, String>,
}

/// A variable that clients of NATS or etcd read (`runtime.md` sections 5.2, 7.1).
struct Variable {
    name: &'static str,
    /// The key that is made into it.
    key: &'static str,
    form: Form,
}

/// How a key becomes a variable.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// The variable is the content.
    Text,
    /// The variable is the path of a file with the content.
    File,
}

const fn text(name: &'static str, key: &'static str) -> Variable {
    Variable { name, key, form: Form::Text }
}

const fn file(name: &'static str, key: &'static str) -> Variable {
    Variable { name, key, form: Form::File }
}

const NATS_AUTH: &[Variable] = &[
    text("NATS_AUTH_USERNAME", "username"),
    text("NATS_AUTH_PASSWORD", "password"),
    text("NATS_AUTH_TOKEN", "token"),
    text("NATS_AUTH_NKEY", "nkey"),
    file("NATS_AUTH_CREDENTIALS_FILE", "creds"),
];
/// The only way to give a CA to clients of NATS in images of the reference. It replaces the public roots of the image.
const NATS_CA: &[Variable] = &[file("SSL_CERT_FILE", "ca.crt")];
const ETCD_CA: &[Variable] = &[file("ETCD_AUTH_CA", "ca.crt")];
const ETCD_AUTH: &[Variable] = &[
    text("ETCD_AUTH_USERNAME", "username"),
    text("ETCD_AUTH_PASSWORD", "password"),
    file("ETCD_AUTH_CA", "ca.crt"),
    file("ETCD_AUTH_CLIENT_CERT", "tls.crt"),
    file("ETCD_AUTH_CLIENT_KEY", "tls.key"),
];

/// Variables of one way to log in to NATS. A client takes the first way of all that is set.
const NATS_USER: [&str; 2] = ["NATS_AUTH_USERNAME", "NATS_AUTH_PASSWORD"];

impl Purpose {
    /// Whether pods can use a Secret with these keys.
    pub fn has_use_of<'a>(self, keys: impl IntoIterator<Item = &'a String>) -> bool {
        let wanted = |key: &str| self.variables().iter().any(|it| [it.name, it.key].contains(&key));
        keys.into_iter().any(|key| wanted(key))
    }

    /// The keys that are looked for, beside those that are spelled like the variables.
    #[must_use]
    pub fn keys(self) -> Vec<&'static str> {
        self.variables().iter().map(|variable| variable.key).collect()
    }

    fn variables(self) -> &'static [Variable] {
        match self {
            Self::NatsAuth => NATS_AUTH,
            Self::NatsCa => NATS_CA,
            Self::EtcdCa => ETCD_CA,
            Self::EtcdAuth => ETCD_AUTH,
        }
    }

    fn place(self) -> &'static str {
        match self {
            Self::NatsAuth => "nats-auth",
            Self::NatsCa => "nats-ca",
            Self::EtcdCa => "etcd-ca",
            Self::EtcdAuth => "etcd-auth",
        }
    }

    fn folder(self) -> String {
        format!("{FOLDER}/{}", self.place())
    }
}

/// What a pod gets.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) env: Vec<EnvVar>,
    files: BTreeMap<Purpose, (Volume, VolumeMount)>,
    checksum: Option<Sha256>,
}

/// What a component gets of `credentials`: every variable that a Secret has a key for and that its user did not set.
pub(crate) fn given(spec: &SharedSpec, credentials: &Credentials) -> Given {
    let of_container = spec.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.as_ref());
    let of_container = of_container.and_then(|main| main.env.as_deref()).unwrap_or_default();
    let by_user: Vec<&str> =
        of_container.iter().chain(&spec.envs).map(|variable| variable.name.as_str()).collect();
    let mut given = Given::default();
    for (purpose, secret) in credentials {
        for variable in purpose.variables() {
            let is_known = given.env.iter().any(|known| known.name == variable.name);
            if !is_known && !stands_back(variable.name, &by_user) {
                given.add(*purpose, secret, variable);
            }
        }
    }
    given
}

/// Whether a variable is left to what the user set: the same variable or, since NATS takes one way to log in and its
/// order is not the user's, another way.
fn stands_back(name: &str, by_user: &[&str]) -> bool {
    let is_way = |name: &str| NATS_AUTH.iter().any(|variable| variable.name == name);
    let is_one_way = |other: &str| NATS_USER.contains(&name) && NATS_USER.contains(&other);
    by_user.iter().any(|other| *other == name || is_way(name) && is_way(other) && !is_one_way(other))
}

impl Given {
    /// A key that is spelled like the variable is the variable, word for word; else there may be the short one.
    fn add(&mut self, purpose: Purpose, secret: &SecretKeys, variable: &Variable) {
        let spellings = [(variable.name, Form::Text), (variable.key, variable.form)];
        let found = spellings.into_iter().find_map(|(key, form)| Some((key, form, secret.digests.get(key)?)));
        let Some((key, form, digest)) = found else { return };
        let made = match form {
            Form::Text => from_secret(variable.name, &secret.name, key),
            Form::File => {
                self.mount(purpose, &secret.name, key);
                env::text(variable.name, &format!("{}/{key}", purpose.folder()))
            }
        };
        self.env.push(made);
        let checksum = self.checksum.get_or_insert_default();
        checksum.update(format!("{}={digest}\n", variable.name));
    }

    /// Only what is used of the Secret. It is not optional: a file that is not there is harder to find than a pod that
    /// waits for it.
    fn mount(&mut self, purpose: Purpose, secret: &str, key: &str) {
        let name = format!("dynamo-{}", purpose.place());
        let (volume, _) = self.files.entry(purpose).or_insert_with(|| {
            let mount = VolumeMount {
                name: name.clone(),
                mount_path: purpose.folder(),
                read_only: Some(true),
                ..VolumeMount::default()
            };
            let source =
                SecretVolumeSource { secret_name: Some(secret.to_owned()), ..SecretVolumeSource::default() };
            (Volume { name, secret: Some(source), ..Volume::default() }, mount)
        });
        let items = volume.secret.get_or_insert_default().items.get_or_insert_default();
        items.push(KeyToPath { key: key.to_owned(), path: key.to_owned(), mode: None });
    }

    /// Mounts the files into the last container of `pod`, the main one. What the user has at a path or under the name of
    /// a volume stays there.
    pub(crate) fn mount_in(self, pod: &mut PodSpec) {
        let Some(main) = pod.containers.last_mut() else { return };
        let mounts = main.volume_mounts.get_or_insert_default();
        let volumes = pod.volumes.get_or_insert_default();
        for (volume, mount) in self.files.into_values() {
            if mounts.iter().any(|known| known.mount_path == mount.mount_path) {
                continue;
            }
            mounts.push(mount);
            if volumes.iter().all(|known| known.name != volume.name) {
                volumes.push(volume);
            }
        }
    }

    /// A text that changes with the content of what is given; `None` when nothing is.
    pub(crate) fn checksum(self) -> Option<String> {
        let digest = self.checksum?.finalize();
        Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Optional, so that a Secret which is being replaced keeps no pod from starting.
fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: Some(true) };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(name: &str, keys: &[&str]) -> SecretKeys {
        let digests = keys.iter().map(|key| ((*key).to_owned(), format!("{name}-{key}")));
        SecretKeys { name: name.to_owned(), digests: digests.collect() }
    }

    fn spec(of_container: &[&str], of_service: &[&str]) -> SharedSpec {
        let list = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| json!({"name": name, "value": "own"})).collect()
        };
        let container = json!({"env": list(of_container)});
        let value = json!({"extraPodSpec": {"mainContainer": container}, "envs": list(of_service)});
        serde_json::from_value(value).unwrap()
    }

    /// Name of each variable with the key that it comes from, or the path that it is.
    fn env(spec: &SharedSpec, credentials: &Credentials) -> Vec<(String, String)> {
        let source = |variable: &EnvVar| match &variable.value_from {
            Some(from) => {
                let selector = from.secret_key_ref.as_ref().unwrap();
                assert_eq!(selector.optional, Some(true));
                format!("{}:{}", selector.name, selector.key)
            }
            None => variable.value.clone().unwrap(),
        };
        given(spec, credentials).env.iter().map(|it| (it.name.clone(), source(it))).collect()
    }

    fn names(spec: &SharedSpec, credentials: &Credentials) -> Vec<String> {
        env(spec, credentials).into_iter().map(|(name, _)| name).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect()
    }

    #[test]
    fn a_variable_is_rendered_for_a_key_that_is_there_and_for_no_other() {
        let none = spec(&[], &[]);
        assert_eq!(env(&none, &Credentials::new()), []);
        let credentials = [
            (Purpose::NatsAuth, secret("nats", &["creds", "password", "unrelated", "username"])),
            (Purpose::EtcdAuth, secret("etcd", &["password"])),
        ];
        assert_eq!(
            env(&none, &credentials.into()),
            pairs(&[
                ("NATS_AUTH_USERNAME", "nats:username"),
                ("NATS_AUTH_PASSWORD", "nats:password"),
                ("NATS_AUTH_CREDENTIALS_FILE", "/var/run/secrets/nvidia.com/nats-auth/creds"),
                ("ETCD_AUTH_PASSWORD", "etcd:password"),
            ])
        );
    }

    #[test]
    fn a_key_that_is_spelled_like_the_variable_is_the_variable_word_for_word_and_wins() {
        let keys = ["NATS_AUTH_TOKEN", "token", "NATS_AUTH_CREDENTIALS_FILE", "creds"];
        let credentials = [(Purpose::NatsAuth, secret("nats", &keys))].into();
        assert_eq!(
            env(&spec(&[], &[]), &credentials),
            pairs(&[
                ("NATS_AUTH_TOKEN", "nats:NATS_AUTH_TOKEN"),
                ("NATS_AUTH_CREDENTIALS_FILE", "nats:NATS_AUTH_CREDENTIALS_FILE"),
            ])
        );
        assert!(given(&spec(&[], &[]), &credentials).files.is_empty());
    }

    #[test]
    fn a_ca_of_its_own_goes_before_the_one_beside_the_credentials() {
        let credentials = [
            (Purpose::EtcdAuth, secret("auth", &["ca.crt", "tls.crt", "tls.key"])),
            (Purpose::EtcdCa, secret("ca", &["ca.crt"])),
        ];
        assert_eq!(
            env(&spec(&[], &[]), &credentials.into()),
            pairs(&[
                ("ETCD_AUTH_CA", "/var/run/secrets/nvidia.com/etcd-ca/ca.crt"),
                ("ETCD_AUTH_CLIENT_CERT", "/var/run/secrets/nvidia.com/etcd-auth/tls.crt"),
                ("ETCD_AUTH_CLIENT_KEY", "/var/run/secrets/nvidia.com/etcd-auth/tls.key"),
            ])
        );
    }

    #[test]
    fn what_the_user_sets_wins_and_so_does_his_way_to_log_in_to_nats() {
        let all = secret("nats", &["username", "password", "token", "nkey", "creds"]);
        let credentials = [(Purpose::NatsAuth, all)].into();
        let user = ["NATS_AUTH_USERNAME", "NATS_AUTH_PASSWORD"];
        assert_eq!(names(&spec(&["NATS_AUTH_TOKEN"], &[]), &credentials), [""; 0]);
        assert_eq!(names(&spec(&["NATS_AUTH_PASSWORD"], &[]), &credentials), [user[0]]);
        assert_eq!(names(&spec(&[], &user), &credentials), [""; 0]);
        assert_eq!(names(&spec(&["NATS_SERVER"], &["OTHER"]), &credentials).len(), 5);
        let credentials = [(Purpose::EtcdAuth, secret("etcd", &["username", "password"]))].into();
        assert_eq!(names(&spec(&[], &["ETCD_AUTH_USERNAME"]), &credentials), ["ETCD_AUTH_PASSWORD"]);
    }

    #[test]
    fn the_checksum_follows_what_is_used_and_nothing_else() {
        let checksum = |spec: &SharedSpec, credentials: &Credentials| given(spec, credentials).checksum();
        let with = |secret: SecretKeys| -> Credentials { [(Purpose::NatsAuth, secret)].into() };
        let mut changed = secret("nats", &["token", "unrelated"]);
        let none = spec(&[], &[]);
        let before = checksum(&none, &with(changed.clone()));
        assert_eq!(before.as_ref().map(String::len), Some(32));
        changed.digests.insert("unrelated".to_owned(), "other".to_owned());
        assert_eq!(checksum(&none, &with(changed.clone())), before);
        changed.digests.insert("token".to_owned(), "other".to_owned());
        assert_ne!(checksum(&none, &with(changed.clone())), before);
        assert_eq!(checksum(&spec(&["NATS_AUTH_TOKEN"], &[]), &with(changed)), None);
        assert_eq!(checksum(&none, &Credentials::new()), None);
    }

    #[test]
    fn a_secret_is_of_use_when_it_has_one_of_the_keys() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert!(Purpose::NatsAuth.has_use_of(&keys(&["other", "nkey"])));
        assert!(Purpose::EtcdAuth.has_use_of(&keys(&["ETCD_AUTH_CA"])));
        assert!(!Purpose::NatsCa.has_use_of(&keys(&["tls.crt"])));
        assert!(!Purpose::NatsAuth.has_use_of(&keys(&[])));
        assert_eq!(Purpose::NatsCa.keys(), ["ca.crt"]);
    }
}
