//! The next step of the rotation, chosen from what is stored and what is published, never from memory.
//! Pure: no clock, no client. Each step is one write, and any step may be the last of a process.
//!
//! ```text
//! StoreNext -> Publish (old and new) -> settle -> IssueLeaf (by the new one) -> ... -> DropOld
//! ```
//! At every arrow the leaf that is served verifies against what is published (`operator-process.md` section 10).

use jiff::{SignedDuration, Timestamp};

use super::{
    Error, Names,
    authority::{Authority, later},
    bundle::Bundle,
    certificate::{Certificate, verify},
    published::{Published, Which},
    stored::{self, Asked, Change, Stored},
};

/// Life of an authority in days.
const AUTHORITY_DAYS: i64 = 3650;

/// How long before its last useful day an authority is renewed, in days.
const MARGIN_DAYS: i64 = 30;

/// How much longer than its life an old leaf is believed to be served, for clocks that differ.
const SKEW: SignedDuration = SignedDuration::from_hours(48);

/// What leaves are made like.
#[derive(Debug, Clone)]
pub struct Policy {
    pub names: Names,
    /// Life of a leaf in days, at least 1.
    pub leaf_days: i64,
}

impl Policy {
    /// Life of an authority: no leaf may outlive it, and a fresh one must not be due at once.
    fn authority_days(&self) -> i64 {
        AUTHORITY_DAYS.max(2 * self.leaf_days + 3 * MARGIN_DAYS)
    }
}

/// Who signs a new leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    Signer,
    Next,
}

/// One step: at most one write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing is stored and nothing is published: authority and leaf at once.
    Bootstrap,
    /// Puts a new authority beside the present ones.
    StoreNext { why: String },
    /// Writes the stored bundle into the entries of one configuration.
    Publish(Which),
    /// Replaces the leaf; from the next authority, that becomes the one that signs.
    IssueLeaf { by: By, why: String },
    /// Takes authorities out of the bundle that no living leaf needs.
    DropOld,
    /// Both authorities are published; API servers get time to see it.
    Settle,
    /// Everything is as it should be.
    Rest,
}

impl Step {
    /// The label of the step in metrics, for steps that write the Secret.
    #[must_use]
    pub fn label(&self) -> Option<&'static str> {
        match self {
            Self::Bootstrap => Some("bootstrap"),
            Self::StoreNext { .. } => Some("store_next_ca"),
            Self::IssueLeaf { .. } => Some("issue_leaf"),
            Self::DropOld => Some("drop_old_ca"),
            Self::Publish(_) | Self::Settle | Self::Rest => None,
        }
    }
}

/// Chooses the next step. `stored` is `None` when there is no Secret; `settled` says that the published bundles have
/// been seen unchanged for long enough that every API server uses them.
#[must_use]
pub fn plan(
    stored: Option<&Stored>,
    published: &Published,
    now: Timestamp,
    policy: &Policy,
    settled: bool,
) -> Step {
    let anything_published = published.bundles().any(|bundle| !bundle.is_empty());
    let Some(stored) = stored else {
        return if anything_published {
            Step::StoreNext { why: "the Secret is gone".to_owned() }
        } else {
            Step::Bootstrap
        };
    };
    let due = match signer_trouble(stored, now, policy) {
        Some(why) if stored.next.as_ref().is_none_or(|next| !next.certificate.is_valid_at(now)) => {
            // What is stored works: if the Secret cannot be written, a wiped bundle is repaired nevertheless.
            if is_usable(stored, published, now, policy)
                && let Some(which) = published.differing(&stored.wanted())
            {
                return Step::Publish(which);
            }
            // While an old leaf may be in use, the new authority must be known before it signs.
            return if stored.signer.is_err() && stored.leaf.is_err() && !anything_published {
                Step::Bootstrap
            } else {
                Step::StoreNext { why }
            };
        }
        trouble => trouble,
    };
    if let Some(which) = published.differing(&stored.wanted()) {
        return Step::Publish(which);
    }
    if stored.next.as_ref().is_some_and(|next| next.certificate.is_valid_at(now)) {
        let why = due.unwrap_or_else(|| "the next authority is published".to_owned());
        return if settled { Step::IssueLeaf { by: By::Next, why } } else { Step::Settle };
    }
    if let Some((why, same_signer)) = leaf_trouble(stored, now, policy) {
        return if same_signer || settled { Step::IssueLeaf { by: By::Signer, why } } else { Step::Settle };
    }
    if stored.bundle.iter().any(|authority| !is_needed(stored, authority, now)) {
        return Step::DropOld;
    }
    Step::Rest
}

/// Whether the stored bundle may be published as it is: API servers would accept the stored leaf, and no other leaf
/// that may be in use loses its authority.
fn is_usable(stored: &Stored, published: &Published, now: Timestamp, policy: &Policy) -> bool {
    let wanted = stored.wanted();
    let is_accepted = stored
        .leaf
        .as_ref()
        .is_ok_and(|leaf| verify(leaf.chain(), &wanted, &policy.names.server(), now).is_ok());
    is_accepted
        && (stored.signer.is_ok()
            || published.bundles().flat_map(Bundle::iter).all(|one| wanted.contains(one)))
}

/// Why another authority must sign.
fn signer_trouble(stored: &Stored, now: Timestamp, policy: &Policy) -> Option<String> {
    let signer = match &stored.signer {
        Ok(signer) => &signer.certificate,
        Err(why) => return Some(why.clone()),
    };
    if !signer.is_valid_at(now) {
        return Some(format!(
            "the authority is not valid now, but from {} to {}",
            signer.not_before, signer.not_after
        ));
    }
    if later(now, policy.leaf_days + MARGIN_DAYS) > signer.not_after {
        return Some(format!("the authority ends at {}, before a new leaf would", signer.not_after));
    }
    (stored.asked == Some(Asked::Authority)).then(|| format!("annotation {} asks for it", stored::ROTATE))
}

/// Why another leaf is needed, and whether the present one is of the same authority.
fn leaf_trouble(stored: &Stored, now: Timestamp, policy: &Policy) -> Option<(String, bool)> {
    let signer = &stored.signer.as_ref().ok()?.certificate;
    let leaf = match &stored.leaf {
        Ok(leaf) => leaf.certificate(),
        // The authority may be one that nobody used yet.
        Err(why) => return Some((why.clone(), false)),
    };
    if !leaf.is_signed_by(signer) {
        return Some(("the leaf is not of the authority that signs".to_owned(), false));
    }
    let mut names = policy.names.all();
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    names.sort_unstable();
    let why = if leaf.names != names {
        format!("the leaf is for {}, not for {}", leaf.names.join(", "), names.join(", "))
    } else if now < leaf.not_before {
        format!("the leaf is valid only from {}", leaf.not_before)
    } else if renewal_of(leaf) <= now {
        format!("the leaf ends at {}", leaf.not_after)
    } else if stored.asked == Some(Asked::Leaf) {
        format!("annotation {} asks for it", stored::ROTATE)
    } else {
        return None;
    };
    Some((why, true))
}

/// When two thirds of a life are over.
fn renewal_of(leaf: &Certificate) -> Timestamp {
    let life = leaf.not_before.duration_until(leaf.not_after).as_secs();
    let age = SignedDuration::from_secs(life / 3 * 2);
    leaf.not_before.checked_add(age).unwrap_or(leaf.not_after)
}

/// Whether `authority` must stay published: it signs, or a leaf of it may still be served.
fn is_needed(stored: &Stored, authority: &Certificate, now: Timestamp) -> bool {
    let lives = |certificate: &Certificate| {
        now <= certificate.not_after.saturating_add(SKEW).unwrap_or(Timestamp::MAX)
    };
    if stored.signer.as_ref().is_ok_and(|signer| signer.certificate == *authority) {
        return true;
    }
    if !lives(authority) {
        return false;
    }
    stored.retained_until.is_some_and(|until| now <= until)
        || stored.leaves().any(|leaf| lives(leaf) && leaf.is_signed_by(authority))
}

/// The change of the Secret that `step` makes; `None` for steps that do not write it. New keys are made here.
///
/// # Errors
/// [`Error::Make`].
pub fn change(
    step: &Step,
    stored: Option<&Stored>,
    published: &Published,
    now: Timestamp,
    policy: &Policy,
) -> Result<Option<Change>, Error> {
    let change = match (step, stored) {
        (Step::Bootstrap, _) => {
            let signer = Authority::new(policy.authority_days(), now)?;
            let leaf = signer.issue(&policy.names, policy.leaf_days, now)?;
            // A bundle that could be read is kept: that costs nothing, and its owner may be late.
            let mut bundle = stored.map(|stored| stored.bundle.clone()).unwrap_or_default();
            bundle.extend([signer.certificate.clone()]);
            let change = Change::default()
                .set(stored::BUNDLE, bundle.to_pem())
                .set(stored::SIGNER_KEY, signer.key_pem())
                .set(stored::LEAF, leaf.certificate_pem())
                .set(stored::LEAF_KEY, leaf.key_pem())
                .remove(stored::NEXT)
                .remove(stored::NEXT_KEY);
            without_requests(change, stored)
        }
        (Step::StoreNext { .. }, _) => store_next(stored, published, now, policy)?,
        (Step::IssueLeaf { by, .. }, Some(stored)) => issue_leaf(*by, stored, now, policy)?,
        (Step::DropOld, Some(stored)) => {
            let kept = stored.bundle.iter().filter(|authority| is_needed(stored, authority, now)).cloned();
            let change = Change::default()
                .set(stored::BUNDLE, kept.collect::<Bundle>().to_pem())
                .set(stored::PREVIOUS, previous(stored, now));
            if stored.retained_until.is_some_and(|until| until < now) {
                change.annotate(stored::RETAIN, None)
            } else {
                change
            }
        }
        (Step::IssueLeaf { .. } | Step::DropOld, None)
        | (Step::Publish(_) | Step::Settle | Step::Rest, _) => {
            return Ok(None);
        }
    };
    Ok(Some(change))
}

fn store_next(
    stored: Option<&Stored>,
    published: &Published,
    now: Timestamp,
    policy: &Policy,
) -> Result<Change, Error> {
    let next = Authority::new(policy.authority_days(), now)?;
    let mut bundle = stored.map(|stored| stored.bundle.clone()).unwrap_or_default();
    let mut change = Change::default();
    if stored.is_none_or(|stored| stored.signer.is_err()) {
        // Whose leaves are in use is not known any more: everything that is trusted now stays so for a leaf's life.
        bundle.extend(published.bundles().flat_map(Bundle::iter).cloned());
        let until = later(now, policy.leaf_days);
        change = change.annotate(stored::RETAIN, Some(until.to_string()));
    }
    bundle.extend([next.certificate.clone()]);
    let change = change
        .set(stored::BUNDLE, bundle.to_pem())
        .set(stored::NEXT, next.certificate.to_pem())
        .set(stored::NEXT_KEY, next.key_pem());
    Ok(without_requests(change, stored))
}

fn issue_leaf(by: By, stored: &Stored, now: Timestamp, policy: &Policy) -> Result<Change, Error> {
    let signer = match by {
        By::Signer => stored.signer.as_ref().map_err(|reason| Error::Pair { reason: reason.clone() })?,
        By::Next => {
            stored.next.as_ref().ok_or_else(|| Error::Pair { reason: "no next authority".to_owned() })?
        }
    };
    let leaf = signer.issue(&policy.names, policy.leaf_days, now)?;
    let change = Change::default()
        .set(stored::LEAF, leaf.certificate_pem())
        .set(stored::LEAF_KEY, leaf.key_pem())
        .set(stored::PREVIOUS, previous(stored, now));
    let change = match by {
        By::Signer => change,
        By::Next => change
            .set(stored::BUNDLE, stored.wanted().to_pem())
            .set(stored::SIGNER_KEY, signer.key_pem())
            .remove(stored::NEXT)
            .remove(stored::NEXT_KEY),
    };
    Ok(without_requests(change, Some(stored)))
}

/// A write that starts a rotation answers the annotation that asked for it.
fn without_requests(change: Change, stored: Option<&Stored>) -> Change {
    if stored.is_some_and(|stored| stored.asked.is_some()) {
        change.annotate(stored::ROTATE, None)
    } else {
        change
    }
}

/// The leaves to remember: of each authority in the bundle the one that lives longest.
fn previous(stored: &Stored, now: Timestamp) -> Vec<u8> {
    let mut kept = Bundle::default();
    for authority in stored.bundle.iter() {
        let longest =
            stored.leaves().filter(|leaf| leaf.is_signed_by(authority)).max_by_key(|leaf| leaf.not_after);
        kept.extend(
            longest.filter(|leaf| leaf.not_after.saturating_add(SKEW).is_ok_and(|end| now <= end)).cloned(),
        );
    }
    kept.to_pem()
}
