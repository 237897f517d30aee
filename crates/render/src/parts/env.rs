//! Environment variables: building, merging by name, one entry per name.
//! Order matters to `$(VAR)` references, so merged lists are sorted by name as the contract has it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector};

/// A variable with a fixed value.
#[must_use]
pub fn text(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

/// A variable that reads a field of its own pod.
#[must_use]
pub fn field(name: &str, path: &str) -> EnvVar {
    let selector = ObjectFieldSelector { api_version: None, field_path: path.to_owned() };
    let source = EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// Union by name in which later lists win with their whole entry, sorted by name in byte order.
#[must_use]
pub fn merge<'a>(lists: impl IntoIterator<Item = &'a [EnvVar]>) -> Vec<EnvVar> {
    let mut by_name: BTreeMap<&str, &EnvVar> = BTreeMap::new();
    for variable in lists.into_iter().flatten() {
        by_name.insert(&variable.name, variable);
    }
    by_name.into_values().cloned().collect()
}

/// Keeps the last entry of each name, which is the one a container sees. The API server refuses to apply a list with
/// two entries of one name.
pub fn keep_last_of_each_name(container: &mut Container) {
    let Some(variables) = &mut container.env else { return };
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<EnvVar> =
        variables.drain(..).rev().filter(|variable| seen.insert(variable.name.clone())).collect();
    kept.reverse();
    *variables = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[EnvVar]) -> Vec<(&str, &str)> {
        list.iter().map(|v| (v.name.as_str(), v.value.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn later_lists_win_and_the_result_is_sorted_in_byte_order() {
        let low = [text("DYN_A", "low"), text("B", "low")];
        let high = [text("DYNAMO_PORT", "1"), text("B", "high")];
        let merged = merge([&low[..], &high[..]]);
        assert_eq!(names(&merged), [("B", "high"), ("DYNAMO_PORT", "1"), ("DYN_A", "low")]);
    }

    #[test]
    fn the_last_entry_of_a_repeated_name_is_the_one_kept() {
        let env = Some(vec![text("A", "1"), text("B", "2"), text("A", "3")]);
        let mut container = Container { env, ..Container::default() };
        keep_last_of_each_name(&mut container);
        assert_eq!(names(container.env.as_deref().unwrap()), [("B", "2"), ("A", "3")]);
    }
}
