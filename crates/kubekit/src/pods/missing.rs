//! Names of things that do not exist, in messages of schedulers and kubelets. Those messages are no contract: what is
//! not understood here is still quoted, as something that may pass. Pure.

/// `persistentvolumeclaim "x" not found`, when a scheduler says so among other things.
pub(super) fn claim(message: &str) -> Option<String> {
    const BEFORE: &str = "persistentvolumeclaim \"";
    let start = message.find(BEFORE)?;
    let (name, rest) = message[start + BEFORE.len()..].split_once('"')?;
    rest.starts_with(" not found").then(|| format!("{BEFORE}{name}\" not found"))
}

/// The part of a kubelet's message that names a missing Secret or ConfigMap, or a missing key of one.
pub(super) fn configuration(message: &str) -> Option<&str> {
    // Of `MountVolume.SetUp failed for volume "x" : secret "y" not found` the end.
    let cause = message.rsplit(" : ").next().unwrap_or(message).trim();
    let named = ["secret \"", "configmap \""].iter().any(|kind| cause.contains(kind));
    let is_missing = (named && cause.contains("\" not found"))
        || cause.contains("couldn't find key ")
        || cause.contains("references non-existent ");
    is_missing.then_some(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_claim_is_found_among_the_reasons_of_a_scheduler() {
        let wanted = Some("persistentvolumeclaim \"models\" not found".to_owned());
        assert_eq!(claim("persistentvolumeclaim \"models\" not found"), wanted);
        assert_eq!(
            claim("0/3 nodes are available: persistentvolumeclaim \"models\" not found. preemption: none"),
            wanted
        );
        assert_eq!(claim("persistentvolumeclaim \"models\" is being deleted"), None);
        assert_eq!(claim("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), None);
    }

    #[test]
    fn missing_secrets_and_keys_are_told_from_what_may_pass() {
        for (message, part) in [
            ("secret \"a\" not found", Some("secret \"a\" not found")),
            (
                "MountVolume.SetUp failed for volume \"v\" : configmap \"c\" not found",
                Some("configmap \"c\" not found"),
            ),
            ("couldn't find key T in Secret ns/a", Some("couldn't find key T in Secret ns/a")),
            (
                "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: k",
                Some("references non-existent secret key: k"),
            ),
            ("failed to sync secret cache: timed out waiting for the condition", None),
            ("MountVolume.SetUp failed for volume \"v\" : mount failed: exit status 32", None),
        ] {
            assert_eq!(configuration(message), part, "{message}");
        }
    }
}
