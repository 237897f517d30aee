//! Each step from each stored state, and what every step leaves behind.

use super::*;

const PUBLISH: [&str; 2] = ["publish validating", "publish mutating"];

fn steps(first: &[&str], then: &[&str]) -> Vec<String> {
    [first, &PUBLISH, then].concat().into_iter().map(str::to_owned).collect()
}

#[test]
fn from_nothing_an_authority_and_a_leaf_are_made_and_published() {
    let mut world = World::empty();
    assert_eq!(world.converge(start()), steps(&["bootstrap"], &[]));
    let (leaf, signer) = (world.leaf(), world.signer());
    assert_eq!(world.accepts(&leaf, start()), Ok(()));
    assert_eq!(
        leaf.certificate().names,
        ["webhook", "webhook.dynamo", "webhook.dynamo.svc", "webhook.dynamo.svc.cluster.local"]
    );
    let hour = SignedDuration::from_hours(1);
    assert!(leaf.certificate().is_valid_at(start() - hour) && signer.certificate.is_valid_at(start() - hour));
    assert_eq!(leaf.certificate().not_after, after_days(365));
    assert_eq!(signer.certificate.not_after, after_days(3650));
    let secret = world.secret.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(
        secret.data.unwrap().keys().collect::<Vec<_>>(),
        [stored::BUNDLE, stored::SIGNER_KEY, stored::LEAF, stored::LEAF_KEY]
    );
}

#[test]
fn a_new_authority_signs_only_after_it_is_published_and_settled() {
    let mut world = World::healthy();
    let (old_leaf, old_signer) = (world.leaf(), world.signer());
    world.ask("ca");
    for expected in ["store_next_ca", "publish", "publish"] {
        let step = world.plan(start(), true);
        assert_eq!(step.label().unwrap_or("publish"), expected);
        world.act(&step, start());
        assert!(world.leaf().is_same_as(&old_leaf));
        assert_eq!(world.accepts(&old_leaf, start()), Ok(()));
    }
    assert_eq!(world.stored().unwrap().asked, None, "the first write takes the request away");
    assert_eq!(world.plan(start(), false), Step::Settle);
    assert_eq!(world.converge(start()), ["issue by Next"]);
    assert_ne!(world.signer().certificate, old_signer.certificate);
    assert_eq!(world.accepts(&world.leaf(), start()), Ok(()));
    assert_eq!(world.accepts(&old_leaf, start()), Ok(()), "a replica may still serve the old leaf");
    assert_eq!(world.published_authorities(), 2);
}

#[test]
fn an_old_authority_goes_after_its_last_leaf_has_ended() {
    let mut world = World::healthy();
    let old = world.signer().certificate;
    world.ask("leaf");
    assert_eq!(world.converge(after_days(100)), ["issue by Signer"]);
    world.ask("ca");
    world.converge(after_days(101));
    let published = |world: &World| world.published.bundles().any(|bundle| bundle.contains(&old));
    // The first leaf ends on day 365, the second on day 465; clocks may differ by two days.
    world.converge(after_days(466));
    assert!(published(&world), "the leaf of day 100 may still be served somewhere");
    assert_eq!(world.converge(after_days(468)), steps(&["drop_old_ca"], &[]));
    assert!(!published(&world));
    assert_eq!(world.converge(after_days(468)), [] as [String; 0]);
}

#[test]
fn a_leaf_is_renewed_after_two_thirds_of_its_life_by_the_same_authority() {
    let mut world = World::healthy();
    assert_eq!(world.plan(after_days(240), true), Step::Rest);
    let signer = world.signer().certificate;
    assert_eq!(world.converge(after_days(244)), ["issue by Signer"]);
    assert_eq!(world.signer().certificate, signer);
    assert_eq!(world.leaf().certificate().not_after, after_days(244 + 365));
}

#[test]
fn leaves_of_any_life_are_not_renewed_again_and_again() {
    for leaf_days in [1, 10, 29, 30, 90, 3650, 36_500] {
        let policy = Policy { names: names(), leaf_days };
        let mut world = World::empty();
        for _ in 0..3 {
            let step = plan(world.stored().as_ref(), &world.published, start(), &policy, true);
            if let Step::Publish(_) = step {
                world.act(&step, start());
            } else if let Some(change) =
                change(&step, world.stored().as_ref(), &world.published, start(), &policy).unwrap()
            {
                world.edit(&change);
            }
        }
        let step = plan(world.stored().as_ref(), &world.published, start(), &policy, true);
        assert_eq!(step, Step::Rest, "{leaf_days} days");
    }
}

#[test]
fn an_authority_is_replaced_before_a_leaf_could_outlive_it() {
    let mut world = World::healthy();
    let mut day = 0;
    let first = world.signer().certificate;
    while day < 4000 {
        world.converge(after_days(day));
        let (leaf, signer) = (world.leaf(), world.signer());
        assert!(leaf.certificate().not_after <= signer.certificate.not_after);
        assert_eq!(world.accepts(&leaf, after_days(day)), Ok(()), "day {day}");
        day += 40;
    }
    assert_ne!(world.signer().certificate, first);
    assert_eq!(world.published_authorities(), 1, "the first one has gone");
}

#[test]
fn another_service_name_or_a_broken_pair_gets_a_new_leaf() {
    for change in [
        Change::default().set(stored::LEAF_KEY, "garbage"),
        Change::default().set(stored::LEAF, "garbage"),
        Change::default().remove(stored::LEAF).remove(stored::LEAF_KEY),
        Change::default().set(stored::LEAF_KEY, Authority::new(1, start()).unwrap().key_pem()),
    ] {
        let mut world = World::healthy();
        world.edit(&change);
        assert_eq!(world.plan(start(), false), Step::Settle);
        assert_eq!(world.converge(start()), ["issue by Signer"]);
        assert_eq!(world.accepts(&world.leaf(), start()), Ok(()));
    }
    let world = World::healthy();
    let mut policy = policy();
    policy.names.cluster_domain = "example.org".into();
    let step = plan(world.stored().as_ref(), &world.published, start(), &policy, false);
    assert!(matches!(step, Step::IssueLeaf { .. }), "{step:?}");
}

#[test]
fn a_wiped_bundle_is_published_again_and_only_where_it_differs() {
    let mut world = World::healthy();
    let wanted = world.stored().unwrap().wanted();
    let validating = world.published.validating.as_mut().unwrap();
    validating.bundles[2] = Bundle::default();
    let patch = validating.patch(&wanted);
    assert_eq!(patch.as_array().unwrap().len(), 2, "{patch}");
    assert_eq!(patch[0]["op"], "test");
    assert_eq!(patch[1]["path"], "/webhooks/2/clientConfig/caBundle");
    assert_eq!(world.converge(start()), ["publish validating"]);
    world.published = published(&Bundle::default());
    assert_eq!(world.converge(start()), PUBLISH);
}

#[test]
fn a_wiped_bundle_is_repaired_before_a_new_authority_is_stored() {
    let mut asked = World::healthy();
    asked.ask("ca");
    let due = World::healthy();
    let of_hook_jobs = World::of(of_hook_jobs(start()));
    for (mut world, now) in [(asked, start()), (due, after_days(350)), (of_hook_jobs, start())] {
        if now > start() {
            // An authority that ends soon, with a leaf that is still good.
            let signer = Authority::new(380, start()).unwrap();
            let leaf = signer.issue(&names(), 365, start()).unwrap();
            world.edit(
                &Change::default()
                    .set(stored::BUNDLE, signer.certificate.to_pem())
                    .set(stored::SIGNER_KEY, signer.key_pem())
                    .set(stored::LEAF, leaf.certificate_pem())
                    .set(stored::LEAF_KEY, leaf.key_pem()),
            );
        }
        world.published = published(&Bundle::default());
        for which in Which::ALL {
            let step = world.plan(now, false);
            assert_eq!(step, Step::Publish(which));
            world.act(&step, now);
        }
        assert_eq!(world.accepts(&world.leaf(), now), Ok(()));
        assert!(matches!(world.plan(now, false), Step::StoreNext { .. }));
    }
}

#[test]
fn a_published_authority_of_unknown_leaves_is_stored_before_anything_is_published() {
    let mut world = World::of(of_hook_jobs(start()));
    let other = Authority::new(10, start()).unwrap().certificate;
    world.published = published(&Bundle::from_iter([other.clone()]));
    let step = world.plan(start(), false);
    assert!(matches!(step, Step::StoreNext { .. }), "{step:?}");
    world.act(&step, start());
    assert!(world.stored().unwrap().wanted().contains(&other));
}

#[test]
fn the_order_of_a_published_bundle_means_nothing() {
    let mut world = World::healthy();
    world.ask("ca");
    world.converge(start());
    let mut reversed: Vec<_> = world.stored().unwrap().wanted().iter().cloned().collect();
    reversed.reverse();
    world.published = published(&reversed.into_iter().collect());
    assert_eq!(world.plan(start(), true), Step::Rest);
}

#[test]
fn a_secret_without_a_usable_authority_is_repaired_in_rotation_order() {
    let garbage =
        |keys: &[&'static str]| keys.iter().fold(Change::default(), |change, key| change.set(key, "garbage"));
    for change in [
        garbage(&[stored::SIGNER_KEY]),
        garbage(&[stored::BUNDLE]),
        garbage(&[stored::BUNDLE, stored::SIGNER_KEY, stored::LEAF, stored::LEAF_KEY]),
        Change::default().set(stored::SIGNER_KEY, Authority::new(1, start()).unwrap().key_pem()),
    ] {
        let mut world = World::healthy();
        let served = world.leaf();
        world.edit(&change);
        for expected in ["store_next_ca", "publish", "publish"] {
            let step = world.plan(start(), false);
            assert_eq!(step.label().unwrap_or("publish"), expected);
            world.act(&step, start());
            assert_eq!(world.accepts(&served, start()), Ok(()), "after {step:?}");
        }
        assert_eq!(world.plan(start(), false), Step::Settle);
        assert_eq!(world.converge(start()), ["issue by Next"]);
        assert_eq!(world.accepts(&served, after_days(364)), Ok(()), "the old one stays for a leaf's life");
        world.converge(after_days(400));
        assert_eq!(world.published_authorities(), 1, "and goes after that");
    }
}

#[test]
fn a_deleted_secret_is_replaced_while_the_old_leaf_is_still_accepted() {
    let mut world = World::healthy();
    let served = world.leaf();
    world.secret = None;
    assert_eq!(world.converge(start()), steps(&["store_next_ca"], &["issue by Next"]));
    assert_eq!(world.accepts(&served, start()), Ok(()));
    assert_eq!(world.accepts(&world.leaf(), start()), Ok(()));
}

#[test]
fn certificates_of_the_hook_jobs_are_taken_over_without_a_gap() {
    let mut world = World::of(of_hook_jobs(start()));
    let served = world.leaf();
    assert_eq!(world.accepts(&served, start()), Ok(()));
    assert_eq!(world.converge(after_days(1)), steps(&["store_next_ca"], &["issue by Next"]));
    assert_eq!(world.accepts(&served, after_days(1)), Ok(()));
    assert_eq!(world.accepts(&world.leaf(), after_days(1)), Ok(()));
}

#[test]
fn an_empty_secret_made_by_somebody_else_is_filled() {
    let mut world = World::empty();
    world.secret = Some(Secret::default());
    assert_eq!(world.converge(start()), steps(&["bootstrap"], &[]));
}

#[test]
fn a_missing_configuration_holds_nothing_up() {
    let mut world = World::empty();
    world.published.mutating = None;
    assert_eq!(world.converge(start()), ["bootstrap", "publish validating"]);
    world.published = Published::default();
    assert_eq!(world.plan(start(), false), Step::Rest);
}

#[test]
fn a_clock_one_day_off_costs_no_admission() {
    for off in [-1, 0, 1] {
        let host = after_days(off);
        let mut world = World::healthy();
        assert_eq!(world.plan(host, true), Step::Rest, "a replica with the wrong clock leaves all as it is");
        for request in ["leaf", "ca"] {
            world.ask(request);
            loop {
                let step = world.plan(host, true);
                if step == Step::Rest {
                    break;
                }
                world.act(&step, host);
                assert_eq!(world.accepts(&world.leaf(), start()), Ok(()), "{step:?} at {off} days");
            }
        }
        assert_eq!(world.plan(start(), true), Step::Rest, "a replica with the right clock is content");
    }
    // The clock jumps forward in the middle of a rotation.
    let mut world = World::healthy();
    world.ask("ca");
    for day in [0, 1, 1, 1, 0] {
        let step = world.plan(after_days(day), true);
        if step != Step::Rest {
            world.act(&step, after_days(day));
        }
        assert_eq!(world.accepts(&world.leaf(), start()), Ok(()));
    }
}

#[test]
fn an_unpublished_or_foreign_authority_is_not_accepted() {
    let world = World::healthy();
    let leaf = world.leaf();
    let other = Bundle::from_iter([Authority::new(10, start()).unwrap().certificate]);
    assert!(verify(leaf.chain(), &other, SERVER, start()).is_err());
    let own = world.stored().unwrap().wanted();
    assert!(verify(leaf.chain(), &own, "webhook.elsewhere.svc", start()).is_err());
    assert!(verify(leaf.chain(), &own, SERVER, after_days(366)).is_err());
    assert!(verify(leaf.chain(), &Bundle::default(), SERVER, start()).is_err());
    // API servers trust a certificate that stands in the bundle itself.
    let itself = Bundle::from_iter([leaf.certificate().clone()]);
    assert_eq!(verify(leaf.chain(), &itself, SERVER, start()), Ok(()));
}
