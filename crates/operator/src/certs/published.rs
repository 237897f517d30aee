//! The bundle as API servers read it: `caBundle` of every entry of both webhook configurations.
//! Reads and writes nothing but that field.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
};
use serde_json::{Value, json};

use super::{bundle::Bundle, certificate::verify};

/// Names of the two webhook configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configurations {
    pub validating: String,
    pub mutating: String,
}

impl Configurations {
    #[must_use]
    pub fn name(&self, which: Which) -> &str {
        match which {
            Which::Validating => &self.validating,
            Which::Mutating => &self.mutating,
        }
    }
}

/// One of the two configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    Validating,
    Mutating,
}

impl Which {
    pub const ALL: [Self; 2] = [Self::Validating, Self::Mutating];

    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }
}

/// One configuration as last seen.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Its resourceVersion.
    pub version: String,
    /// Its uid.
    pub uid: String,
    /// The bundle of each entry, in order.
    pub bundles: Vec<Bundle>,
}

impl Configuration {
    /// Whether every entry has exactly `bundle`.
    #[must_use]
    pub fn has(&self, bundle: &Bundle) -> bool {
        self.bundles.iter().all(|published| published.is_same_as(bundle))
    }

    /// The JSON patch that gives each differing entry `bundle`. It applies to the form last seen and to no other, so
    /// an entry is never found by an index that moved.
    #[must_use]
    pub fn patch(&self, bundle: &Bundle) -> Value {
        let value = ByteString(bundle.to_pem());
        let mut patch =
            vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": self.version})];
        for (at, published) in self.bundles.iter().enumerate() {
            if !published.is_same_as(bundle) {
                patch.push(
                    json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": value}),
                );
            }
        }
        patch.into()
    }
}

/// Both configurations; `None` is one that does not exist.
#[derive(Debug, Clone, Default)]
pub struct Published {
    pub validating: Option<Configuration>,
    pub mutating: Option<Configuration>,
}

impl Published {
    #[must_use]
    pub fn get(&self, which: Which) -> Option<&Configuration> {
        match which {
            Which::Validating => self.validating.as_ref(),
            Which::Mutating => self.mutating.as_ref(),
        }
    }

    pub fn set(&mut self, which: Which, configuration: Option<Configuration>) {
        match which {
            Which::Validating => self.validating = configuration,
            Which::Mutating => self.mutating = configuration,
        }
    }

    /// The bundles of all entries of both.
    pub fn bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.validating.iter().chain(&self.mutating).flat_map(|configuration| &configuration.bundles)
    }

    /// The first configuration that exists and has not `bundle` in every entry.
    #[must_use]
    pub fn differing(&self, bundle: &Bundle) -> Option<Which> {
        Which::ALL
            .into_iter()
            .find(|which| self.get(*which).is_some_and(|configuration| !configuration.has(bundle)))
    }

    /// Whether API servers accept `chain` for `name`.
    ///
    /// # Errors
    /// Why not.
    pub fn accepts(
        &self,
        chain: &[super::certificate::Certificate],
        name: &str,
        now: jiff::Timestamp,
    ) -> Result<(), String> {
        let mut bundles = self.bundles().peekable();
        if bundles.peek().is_none() {
            return Err("no webhook is registered".to_owned());
        }
        let mut checked: Option<&Bundle> = None;
        for bundle in bundles {
            // The entries nearly always agree; one check is enough then.
            if checked.is_some_and(|checked| checked.is_same_as(bundle)) {
                continue;
            }
            verify(chain, bundle, name, now)?;
            checked = Some(bundle);
        }
        Ok(())
    }
}

fn configuration<'a>(
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    bundles: impl Iterator<Item = Option<&'a ByteString>>,
) -> Configuration {
    Configuration {
        version: meta.resource_version.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        bundles: bundles.map(|bundle| Bundle::read(bundle.map_or(&[], |bundle| &bundle.0))).collect(),
    }
}

impl From<&ValidatingWebhookConfiguration> for Configuration {
    fn from(object: &ValidatingWebhookConfiguration) -> Self {
        let entries = object.webhooks.iter().flatten();
        configuration(&object.metadata, entries.map(|webhook| webhook.client_config.ca_bundle.as_ref()))
    }
}

impl From<&MutatingWebhookConfiguration> for Configuration {
    fn from(object: &MutatingWebhookConfiguration) -> Self {
        let entries = object.webhooks.iter().flatten();
        configuration(&object.metadata, entries.map(|webhook| webhook.client_config.ca_bundle.as_ref()))
    }
}
