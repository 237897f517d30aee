//! Two replicas, late watches, late API servers and crashes: every interleaving, on the real decisions.
//!
//! A state holds numbers only; what they stand for (Secrets, bundles, leaves) is in tables, and each change is made
//! once, so the walk is finite. The one assumption: when a replica has seen a bundle unchanged for the settle time,
//! every API server uses a bundle at least as new.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::certs::serving::{Choice, choose};

/// A published bundle and how many were published before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shown {
    version: u8,
    bundle: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Replica {
    /// The Secret and the bundles as its watches told them.
    secret: usize,
    shown: [Shown; 2],
    settled: bool,
    leaf: Option<usize>,
    /// A publication between the look at the Secret and the write: configuration, bundle, version it was decided on.
    sending: Option<(usize, usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    secret: usize,
    shown: [Shown; 2],
    /// What the slowest API server uses.
    used: [Shown; 2],
    replicas: [Replica; 2],
}

/// What keeps the rotation safe; the walk must find the harm when one of them is missing.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// A publication reads the Secret once more.
    looks_again: bool,
    /// API servers are up to date when the settle time is over.
    settles: bool,
}

const ALL: Rules = Rules { looks_again: true, settles: true };

#[derive(Default)]
struct Tables {
    secrets: Vec<Option<Secret>>,
    bundles: Vec<Bundle>,
    leaves: Vec<Leaf>,
    stored: HashMap<usize, Option<Stored>>,
    plans: HashMap<(usize, [usize; 2], bool), Step>,
    changes: HashMap<(usize, [usize; 2], Step), usize>,
    accepted: HashMap<(usize, usize), bool>,
    chosen: HashMap<(Option<usize>, usize, [usize; 2]), Option<usize>>,
}

impl Tables {
    fn secret(&mut self, secret: Option<Secret>) -> usize {
        position_or_push(&mut self.secrets, secret, |known, secret| known == secret)
    }

    fn bundle(&mut self, bundle: Bundle) -> usize {
        position_or_push(&mut self.bundles, bundle, Bundle::is_same_as)
    }

    fn leaf(&mut self, leaf: Leaf) -> usize {
        position_or_push(&mut self.leaves, leaf, Leaf::is_same_as)
    }

    fn stored(&mut self, secret: usize) -> Option<Stored> {
        let read = || self.secrets[secret].as_ref().map(Stored::read);
        self.stored.entry(secret).or_insert_with(read).clone()
    }

    fn published(&self, bundles: [usize; 2]) -> Published {
        let mut all = published(&self.bundles[bundles[0]]);
        all.mutating.as_mut().unwrap().bundles = vec![self.bundles[bundles[1]].clone()];
        all.validating.as_mut().unwrap().bundles.truncate(1);
        all
    }

    fn plan(&mut self, secret: usize, bundles: [usize; 2], settled: bool) -> Step {
        if let Some(step) = self.plans.get(&(secret, bundles, settled)) {
            return step.clone();
        }
        let stored = self.stored(secret);
        let step = plan(stored.as_ref(), &self.published(bundles), start(), &policy(), settled);
        self.plans.insert((secret, bundles, settled), step.clone());
        step
    }

    /// The Secret after a step.
    fn change(&mut self, secret: usize, bundles: [usize; 2], step: &Step) -> usize {
        let key = (secret, bundles, step.clone());
        if let Some(changed) = self.changes.get(&key) {
            return *changed;
        }
        let stored = self.stored(secret);
        let published = self.published(bundles);
        let change = change(step, stored.as_ref(), &published, start(), &policy()).unwrap().unwrap();
        let changed = change.apply(self.secrets[secret].as_ref());
        let changed = self.secret(Some(changed));
        self.changes.insert(key, changed);
        changed
    }

    fn accepts(&mut self, leaf: usize, bundle: usize) -> bool {
        let Self { leaves, bundles, accepted, .. } = self;
        *accepted
            .entry((leaf, bundle))
            .or_insert_with(|| verify(leaves[leaf].chain(), &bundles[bundle], SERVER, start()).is_ok())
    }

    /// What a replica serves when its watches told this.
    fn choose(&mut self, leaf: Option<usize>, secret: usize, bundles: [usize; 2]) -> Option<usize> {
        if let Some(chosen) = self.chosen.get(&(leaf, secret, bundles)) {
            return *chosen;
        }
        let offered = self.stored(secret).ok_or("no Secret".to_owned()).and_then(|stored| stored.leaf);
        let published = self.published(bundles);
        let served = leaf.map(|leaf| self.leaves[leaf].clone());
        let accepts = |leaf: &Leaf| published.accepts(leaf.chain(), SERVER, start());
        let chosen = match choose(served.as_ref(), offered.as_ref().map_err(String::as_str), accepts) {
            Choice::Offered => Some(self.leaf(offered.unwrap())),
            Choice::Served | Choice::Neither(_) => leaf,
        };
        self.chosen.insert((leaf, secret, bundles), chosen);
        chosen
    }
}

fn position_or_push<T>(table: &mut Vec<T>, value: T, same: impl Fn(&T, &T) -> bool) -> usize {
    table.iter().position(|known| same(known, &value)).unwrap_or_else(|| {
        table.push(value);
        table.len() - 1
    })
}

fn bundles(shown: [Shown; 2]) -> [usize; 2] {
    shown.map(|shown| shown.bundle)
}

impl Replica {
    fn look(mut self, tables: &mut Tables) -> Self {
        self.leaf = tables.choose(self.leaf, self.secret, bundles(self.shown));
        self
    }
}

/// Every state that may follow, without those after a crash.
fn successors(state: State, rules: Rules, tables: &mut Tables) -> Vec<State> {
    let mut next = Vec::new();
    for at in 0..2 {
        if state.used[at] != state.shown[at] {
            let mut after = state;
            after.used[at] = state.shown[at];
            next.push(after);
        }
    }
    for at in 0..2 {
        let replica = state.replicas[at];
        let mut push = |after: State, replica: Replica| {
            let mut after = after;
            after.replicas[at] = replica;
            next.push(after);
        };
        if let Some((which, bundle, version)) = replica.sending {
            let (mut after, mut replica) = (state, Replica { sending: None, ..replica });
            // Only the form it was decided on is written; the answer is known at once.
            if after.shown[which].version == version {
                after.shown[which] = Shown { version: version + 1, bundle };
                replica.shown[which] = after.shown[which];
                replica.settled = false;
                replica = replica.look(tables);
            }
            push(after, replica);
            continue;
        }
        if replica.secret != state.secret {
            push(state, Replica { secret: state.secret, ..replica }.look(tables));
        }
        for which in 0..2 {
            if replica.shown[which] != state.shown[which] {
                let mut told = Replica { settled: false, ..replica };
                told.shown[which] = state.shown[which];
                push(state, told.look(tables));
            }
        }
        let is_used =
            |which: usize| !rules.settles || state.used[which].version >= replica.shown[which].version;
        if !replica.settled && is_used(0) && is_used(1) {
            push(state, Replica { settled: true, ..replica });
        }
        match tables.plan(replica.secret, bundles(replica.shown), replica.settled) {
            Step::Rest | Step::Settle => {}
            Step::Publish(which) => {
                // The Secret is read again before a publication; another form than the known one stops it.
                let mut replica = replica;
                if replica.secret == state.secret || !rules.looks_again {
                    let which = which as usize;
                    let wanted = tables.stored(replica.secret).unwrap().wanted();
                    replica.sending = Some((which, tables.bundle(wanted), replica.shown[which].version));
                } else {
                    replica = Replica { secret: state.secret, ..replica }.look(tables);
                }
                push(state, replica);
            }
            step if replica.secret == state.secret => {
                let secret = tables.change(replica.secret, bundles(replica.shown), &step);
                push(State { secret, ..state }, Replica { secret, ..replica }.look(tables));
            }
            // A conflict: nothing is written.
            _ => {}
        }
    }
    next
}

fn crashed(state: State, at: usize, tables: &mut Tables) -> State {
    let fresh =
        Replica { secret: state.secret, shown: state.shown, settled: false, leaf: None, sending: None };
    let mut after = state;
    after.replicas[at] = fresh.look(tables);
    after
}

/// Walks every interleaving from the moment when the Secret of `before` became that of `world`; the replicas know the
/// former and serve its leaf. If they serve one, API servers must accept what is served all the time.
fn walk(before: &World, world: &World, rules: Rules) {
    let mut tables = Tables::default();
    let secret = tables.secret(world.secret.clone());
    let bundle = tables.bundle(world.published.bundles().next().unwrap().clone());
    let known = tables.secret(before.secret.clone());
    let leaf = tables.stored(known).map(|stored| tables.leaf(stored.leaf.unwrap()));
    let is_live = leaf.is_some();
    let shown = [Shown { version: 0, bundle }; 2];
    let replica = Replica { secret: known, shown, settled: false, leaf, sending: None };
    let first = State { secret, shown, used: shown, replicas: [replica.look(&mut tables); 2] };
    let mut seen = HashSet::from([first]);
    let mut open = vec![first];
    let mut ends = 0;
    while let Some(state) = open.pop() {
        for replica in state.replicas {
            let Some(leaf) = replica.leaf.filter(|_| is_live) else { continue };
            for shown in state.used.iter().chain(&state.shown) {
                assert!(
                    tables.accepts(leaf, shown.bundle),
                    "a served leaf is refused: {state:#?} in {:#?}",
                    tables.bundles
                );
            }
            assert!(shown_versions(&state) < 12, "the bundle is published again and again");
        }
        let next = successors(state, rules, &mut tables);
        if next.is_empty() {
            ends += 1;
            for replica in state.replicas {
                let step = tables.plan(replica.secret, bundles(replica.shown), true);
                assert_eq!(step, Step::Rest, "stuck in {state:#?}");
                let leaf = replica.leaf.expect("a leaf at the end");
                let stored = tables.stored(state.secret).unwrap().leaf.unwrap();
                assert!(tables.leaves[leaf].is_same_as(&stored), "an old leaf at the end");
                assert!(state.used.iter().all(|used| tables.accepts(leaf, used.bundle)));
            }
        }
        let crashes = [crashed(state, 0, &mut tables), crashed(state, 1, &mut tables)];
        for after in next.into_iter().chain(crashes) {
            if seen.insert(after) {
                open.push(after);
            }
        }
    }
    assert!(ends > 0, "no end among {} states", seen.len());
}

fn shown_versions(state: &State) -> u8 {
    state.shown.iter().map(|shown| shown.version).max().unwrap_or(0)
}

fn asked(what: &str) -> (World, World) {
    let healthy = World::healthy();
    let mut world = healthy.clone();
    world.ask(what);
    (healthy, world)
}

#[test]
fn every_interleaving_of_an_authority_change_serves_what_api_servers_accept() {
    let (healthy, world) = asked("ca");
    walk(&healthy, &world, ALL);
}

#[test]
#[should_panic(expected = "a served leaf is refused")]
fn the_walk_finds_the_harm_of_a_late_watch_that_publishes_an_old_bundle() {
    let (healthy, world) = asked("ca");
    walk(&healthy, &world, Rules { looks_again: false, ..ALL });
}

#[test]
#[should_panic(expected = "a served leaf is refused")]
fn the_walk_finds_the_harm_of_a_settle_time_that_is_too_short() {
    let (healthy, world) = asked("ca");
    walk(&healthy, &world, Rules { settles: false, ..ALL });
}

#[test]
fn every_interleaving_of_a_leaf_change_serves_what_api_servers_accept() {
    let (healthy, world) = asked("leaf");
    walk(&healthy, &world, ALL);
}

#[test]
fn every_interleaving_of_a_repair_serves_what_api_servers_accept() {
    let healthy = World::healthy();
    let keys = [stored::BUNDLE, stored::SIGNER_KEY, stored::LEAF, stored::LEAF_KEY];
    let mut broken = healthy.clone();
    broken.edit(&keys.into_iter().fold(Change::default(), |change, key| change.set(key, "garbage")));
    walk(&healthy, &broken, ALL);
    let gone = World { secret: None, ..healthy.clone() };
    walk(&healthy, &gone, ALL);
}

#[test]
fn every_interleaving_of_the_take_over_from_hook_jobs_serves_what_api_servers_accept() {
    let world = World::of(of_hook_jobs(start()));
    walk(&world, &world, ALL);
}

#[test]
fn every_interleaving_of_the_first_start_ends_with_one_accepted_leaf() {
    walk(&World::empty(), &World::empty(), ALL);
}
