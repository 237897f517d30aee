//! The pair that the TLS server shows now, and whether API servers accept it.
//! Pairs are swapped without a restart; a pair that works is never given up for one that does not.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};
use tracing::{info, warn};

use super::{CertificateMetrics, authority::Leaf, published::Published};

/// How long something may be wrong before a process that was ready is not any more. A wiped bundle is repaired at
/// once; to leave the Service meanwhile would only make the gap longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives every handshake the current pair; without one the handshake fails.
#[derive(Debug, Clone, Default)]
pub struct Resolver(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl Resolver {
    fn set(&self, pair: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(pair);
    }

    /// The pair that the next handshake gets.
    #[must_use]
    pub fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// Whether a pair is served that API servers accept, with the reason when not. Cheap to clone and to read.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Receiver<Result<(), String>>);

impl Readiness {
    /// The reason why admission cannot work yet, for `/readyz`. `None` when it can.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().as_ref().err().cloned()
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When the task that keeps the certificates has ended.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.0.changed().await
    }
}

/// The writing side of [`Resolver`] and [`Readiness`], for one of the keepers.
#[derive(Debug)]
pub struct Serving {
    resolver: Resolver,
    readiness: watch::Sender<Result<(), String>>,
    metrics: CertificateMetrics,
    leaf: Option<Leaf>,
    /// Since when something is wrong.
    refused_since: Option<Instant>,
}

impl Serving {
    #[must_use]
    pub fn new(metrics: CertificateMetrics) -> Self {
        Self {
            resolver: Resolver::default(),
            readiness: watch::Sender::new(Err("the certificates were not looked at yet".to_owned())),
            metrics,
            leaf: None,
            refused_since: None,
        }
    }

    /// What the TLS server asks for its certificate.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// What `/readyz` asks.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness(self.readiness.subscribe())
    }

    pub(super) fn metrics(&self) -> &CertificateMetrics {
        &self.metrics
    }

    /// Serves `offered` if API servers accept it, else keeps what is served. `trouble` is a reason of its own not to
    /// be ready, such as a configuration that does not exist.
    pub(super) fn update(
        &mut self,
        offered: Result<&Leaf, &str>,
        accepts: impl Fn(&Leaf) -> Result<(), String>,
        trouble: Option<String>,
    ) {
        let refused = match choose(self.leaf.as_ref(), offered, accepts) {
            Choice::Offered => {
                if let Ok(leaf) = offered {
                    self.serve(leaf);
                }
                None
            }
            Choice::Served => None,
            Choice::Neither(reason) => Some(reason),
        };
        let state = match trouble.or(refused) {
            None => {
                self.refused_since = None;
                Ok(())
            }
            Some(reason) => {
                let since = *self.refused_since.get_or_insert_with(Instant::now);
                let is_borne = self.readiness.borrow().is_ok() && since.elapsed() < PATIENCE;
                if is_borne { Ok(()) } else { Err(reason) }
            }
        };
        self.readiness.send_if_modified(|now| {
            if *now == state {
                return false;
            }
            match &state {
                Ok(()) => info!("the certificate is served and verifies against the published bundle"),
                Err(reason) => warn!(%reason, "admission is not ready"),
            }
            *now = state;
            true
        });
    }

    /// Tells why nothing is known yet, such as a watch that is refused.
    pub(super) fn wait_for(&self, reason: String) {
        if self.leaf.is_none() {
            let _ = self.readiness.send_replace(Err(reason));
        }
    }

    /// When [`Self::update`] must be called again although nothing changed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.refused_since.filter(|_| self.readiness.borrow().is_ok())?;
        Some(since + PATIENCE)
    }

    fn serve(&mut self, leaf: &Leaf) {
        self.metrics.read.inc();
        self.metrics.expires("leaf", leaf.certificate().not_after);
        info!(until = %leaf.certificate().not_after, "serving a new certificate");
        self.resolver.set(leaf.served());
        self.leaf = Some(leaf.clone());
    }
}

/// Which pair to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The offered one, which is new and accepted.
    Offered,
    /// The one that is served is accepted.
    Served,
    /// None is accepted, for this reason; what is served stays.
    Neither(String),
}

pub(super) fn choose(
    served: Option<&Leaf>,
    offered: Result<&Leaf, &str>,
    accepts: impl Fn(&Leaf) -> Result<(), String>,
) -> Choice {
    let reason = match offered {
        Ok(leaf) => match accepts(leaf) {
            Ok(()) if served.is_some_and(|served| served.is_same_as(leaf)) => return Choice::Served,
            Ok(()) => return Choice::Offered,
            Err(reason) => format!("the certificate is not accepted by API servers: {reason}"),
        },
        Err(reason) => reason.to_owned(),
    };
    match served {
        Some(served) if accepts(served).is_ok() => Choice::Served,
        _ => Choice::Neither(reason),
    }
}

/// What API servers say to a leaf, by what is published for them.
pub(super) fn accepted_by<'a>(
    published: &'a Published,
    name: &'a str,
    now: Timestamp,
) -> impl Fn(&Leaf) -> Result<(), String> + 'a {
    move |leaf| published.accepts(leaf.chain(), name, now)
}
