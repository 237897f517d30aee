//! Certificates that somebody else puts into a directory: cert-manager, the user, or the hook jobs
//! (`operator-process.md` section 10). Writes nothing; a pair that cannot be used never replaces one that works.

use std::{io, path::PathBuf, time::Duration};

use futures::{
    StreamExt,
    stream::{BoxStream, pending},
};
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::{
    Configurations, Names, Serving,
    authority::Leaf,
    serving::accepted_by,
    stored::{LEAF, LEAF_KEY},
    watches::{self, Complaint, Failures, Registered, Seen},
};

/// Where the pair is and who must accept it.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// Holds `tls.crt` (leaf first, then intermediates) and `tls.key`; by default
    /// `/tmp/k8s-webhook-server/serving-certs`.
    pub directory: PathBuf,
    pub names: Names,
    /// When given, a pair is served only if it verifies against the published bundles, and without both
    /// configurations the process is not ready. When not, a pair that can be read is served.
    pub configurations: Option<Configurations>,
    /// How often the files are read: 10 s in the reference.
    pub poll: Duration,
}

/// Keeps the served pair like the files until dropped.
pub struct FileKeeper {
    client: Client,
    settings: FileSettings,
    serving: Serving,
    registered: Registered,
    /// The files as last read, and the pair in them.
    content: Option<Content>,
    pair: Result<Leaf, String>,
    unreadable: Complaint,
    watches: Failures,
}

#[derive(Debug, Clone, PartialEq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for FileKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileKeeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl FileKeeper {
    #[must_use]
    pub fn new(client: Client, settings: FileSettings, serving: Serving) -> Self {
        Self {
            client,
            settings,
            serving,
            registered: Registered::default(),
            content: None,
            pair: Err("the certificate was not read yet".to_owned()),
            unreadable: Complaint::default(),
            watches: Failures::default(),
        }
    }

    /// Reads and watches until dropped.
    pub async fn run(mut self) {
        let mut seen: BoxStream<'static, Seen> = match &self.settings.configurations {
            Some(names) => watches::configurations(&self.client, names),
            None => pending().boxed(),
        };
        let mut read_at = Instant::now();
        loop {
            if read_at <= Instant::now() {
                self.read();
                read_at = Instant::now() + self.settings.poll;
            }
            self.look();
            let wake = self.serving.deadline().map_or(read_at, |deadline| deadline.min(read_at));
            tokio::select! {
                event = seen.next() => match event {
                    Some(Seen::Configuration(which, configuration)) => {
                        self.watches.end(which.kind());
                        self.registered.note(which, configuration);
                    }
                    Some(Seen::Failed(kind, reason)) => {
                        let reason = self.watches.tell(kind, &reason);
                        self.serving.wait_for(reason);
                    }
                    Some(Seen::Secret(_)) => {}
                    None => return,
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn read(&mut self) {
        let directory = self.settings.directory.display().to_string();
        let read = match self.load() {
            Ok(content) if self.content.as_ref() == Some(&content) => return,
            Ok(content) => {
                let pair = Leaf::read(&content.certificate, &content.key);
                self.content = Some(content);
                pair.map_err(|error| format!("in {directory}: {error}"))
            }
            Err(error) => {
                self.content = None;
                Err(format!("{LEAF} and {LEAF_KEY} cannot be read in {directory}: {error}"))
            }
        };
        match read {
            Ok(pair) => {
                self.unreadable.end();
                self.pair = Ok(pair);
            }
            Err(reason) => {
                self.serving.metrics().read_errors.inc();
                self.unreadable.tell("the certificate files cannot be used", &reason);
                // A pair read before stays the one to offer.
                if self.pair.is_err() {
                    self.pair = Err(reason);
                }
            }
        }
    }

    /// Reads both files from one state of a Secret volume, whose update swaps the link `..data`.
    fn load(&self) -> io::Result<Content> {
        let directory = &self.settings.directory;
        let directory = directory.join("..data").canonicalize().unwrap_or_else(|_| directory.clone());
        let read = |name: &str| std::fs::read(directory.join(name));
        Ok(Content { certificate: read(LEAF)?, key: read(LEAF_KEY)? })
    }

    fn look(&mut self) {
        let offered = self.pair.as_ref().map_err(String::as_str);
        let Some(names) = &self.settings.configurations else {
            self.serving.update(offered, |_| Ok(()), None);
            return;
        };
        let Some(published) = self.registered.published() else { return };
        let name = self.settings.names.server();
        let trouble = self.registered.trouble(names);
        self.serving.update(offered, accepted_by(published, &name, Timestamp::now()), trouble);
    }
}
