//! Tests of the Helm charts; they live in `tests/charts` and run the real Helm.
//! Must not hold code: the charts are YAML and know nothing of this crate.
