//! What the certificates tell the metrics endpoint (`operator-process.md` section 11).
//! Labels are fixed words.

use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CertificateLabels {
    certificate: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct StepLabels {
    step: &'static str,
}

/// Counters and gauges of the certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateMetrics {
    /// Pairs taken into service.
    pub(super) read: Counter,
    /// Pairs that could not be used.
    pub(super) read_errors: Counter,
    expiry: Family<CertificateLabels, Gauge<i64, AtomicI64>>,
    rotations: Family<StepLabels, Counter>,
}

impl CertificateMetrics {
    /// Adds the families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "certwatcher_read_certificate",
            "Certificates read and taken into service",
            self.read.clone(),
        );
        registry.register(
            "certwatcher_read_certificate_errors",
            "Certificates that could not be used",
            self.read_errors.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_certificate_expiry_timestamp_seconds",
            "End of the certificate in seconds since 1970: of the one that is served, and of the authority that signs",
            self.expiry.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_certificate_rotations",
            "Writes of the certificate rotation by step",
            self.rotations.clone(),
        );
    }

    /// When a certificate ends; `certificate` is `leaf` or `ca`.
    pub fn expires(&self, certificate: &'static str, at: Timestamp) {
        self.expiry.get_or_create(&CertificateLabels { certificate }).set(at.as_second());
    }

    /// A write of the rotation.
    pub fn step(&self, step: &'static str) {
        self.rotations.get_or_create(&StepLabels { step }).inc();
    }
}
