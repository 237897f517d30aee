//! Whole lists of a cluster, read page by page.
//! Nothing is judged here.

use std::fmt::Debug;

use kube::{Api, api::ListParams};
use serde::de::DeserializeOwned;

const PAGE: u32 = 250;

/// Every object that `params` selects.
///
/// # Errors
/// Those of the API server; a list that changed too much while it was read is one of them (410).
pub async fn all<K: Clone + DeserializeOwned + Debug>(
    api: &Api<K>,
    params: ListParams,
) -> Result<Vec<K>, kube::Error> {
    let mut params = params.limit(PAGE);
    let mut found = Vec::new();
    loop {
        let mut page = api.list(&params).await?;
        found.append(&mut page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
