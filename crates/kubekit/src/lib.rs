//! Shared machinery over kube-rs: apply, prune, conditions, backoff, leader lease
