//! Quantities that the schema leaves as plain text (`api.md` section 5, Resources).
//! A quantity that does not parse is named here, long before the API server would refuse the pod.

use dynamo_api::v1alpha1::{ResourceItem, Resources};

use super::{FieldError, FieldErrors};

const RULE: &str =
    "is not a quantity: write a number with an optional suffix, such as \"2\", \"500m\" or \"64Gi\"";

pub(super) fn check(field: &str, resources: &Resources, errors: &mut FieldErrors) {
    let sides = [("requests", &resources.requests), ("limits", &resources.limits)];
    for (side, item) in sides {
        if let Some(item) = item {
            check_item(&format!("{field}.{side}"), item, errors);
        }
    }
}

fn check_item(field: &str, item: &ResourceItem, errors: &mut FieldErrors) {
    let own = [("cpu", &item.cpu), ("memory", &item.memory), ("gpu", &item.gpu)];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?)));
    let custom = item.custom.iter().map(|(name, value)| (format!("custom[{name}]"), value));
    for (name, value) in own.chain(custom) {
        if !is_quantity(value) {
            errors.push(FieldError::new(format!("{field}.{name}"), value, RULE));
        }
    }
}

/// Whether a text is a quantity by the API's own pattern (`api.md` section 2).
pub(super) fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some(rest) = decimal(text) else { return false };
    match rest {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi"
        | "Ei" => true,
        exponent => exponent
            .strip_prefix(['e', 'E'])
            .map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits))
            .and_then(decimal)
            .is_some_and(str::is_empty),
    }
}

/// What follows a decimal number at the start of a text.
fn decimal(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    (digits > 0 && number.len() - digits <= 1).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::is_quantity;

    #[test]
    fn quantities_follow_the_pattern_of_the_schema() {
        for good in ["1", "0.5", ".5", "5.", "500m", "64Gi", "1e3", "1E-3", "+2", "-1k", "2E"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "abc", "1 Gi", "1GiB", "1..5", ".", "e3", "1e", "0x10", "1kk", "ten"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
