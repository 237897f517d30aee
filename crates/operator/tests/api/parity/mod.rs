//! The recorded objects and statuses of the reference for every public manifest: what our operator makes of them on a
//! real API server is the same, but for the deviations that are written down.

mod allowed;
mod cluster;
mod record;

use std::{collections::BTreeSet, path::Path, sync::Mutex};

use dynamo_testkit::shared;
use futures::{StreamExt, stream};

use allowed::Allowed;
use cluster::{Cluster, Space};
use record::{Objects, differences};

/// Manifests at a time.
const AT_ONCE: usize = 8;

/// What came of all manifests.
#[derive(Default)]
struct Outcome {
    manifests: usize,
    objects: usize,
    ready: usize,
    failures: Vec<String>,
    used: BTreeSet<usize>,
}

/// Takes down how objects and statuses differ from their record.
fn judge(
    case: &str,
    phase: &str,
    want: &Objects,
    got: &Objects,
    allowed: &Allowed,
    outcome: &Mutex<Outcome>,
) {
    let mut outcome = outcome.lock().unwrap();
    for difference in differences(want, got) {
        match allowed.find(case, &difference) {
            Some(at) => _ = outcome.used.insert(at),
            None => outcome.failures.push(format!("{case} {phase}: {difference}")),
        }
    }
}

async fn check(cluster: &Cluster, folder: &Path, case: &str, allowed: &Allowed, outcome: &Mutex<Outcome>) {
    let space = Space::create(cluster, &record::documents(&folder.join(format!("input/{case}.yaml")))).await;
    let want = record::read(folder, case);
    let is_same = |got: &Objects| {
        differences(&want, got).iter().all(|difference| allowed.find(case, difference).is_some())
    };
    let got = space.settled(is_same).await;
    judge(case, "never ready", &want, &got, allowed, outcome);

    let (ready, failures) = space.make_ready().await;
    // What a stand-in reports changes the statuses, and nothing else.
    let without_status = |objects: &Objects| {
        let mut objects = objects.clone();
        objects.retain(|(kind, _), _| kind != record::STATUS);
        objects
    };
    judge(case, "ready", &without_status(&want), &without_status(&space.objects().await), allowed, outcome);
    let mut outcome = outcome.lock().unwrap();
    outcome.manifests += 1;
    outcome.objects += want.len();
    outcome.ready += ready;
    outcome.failures.extend(failures.into_iter().map(|failure| format!("{case} ready: {failure}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_public_manifest_becomes_what_the_reference_makes_of_it_but_for_written_deviations() {
    let Some(shared) = shared::folder("comparison with the recorded objects of the reference") else {
        return;
    };
    let folder = shared.join("parity");
    let (allowed, outcome) = (Allowed::read(), Mutex::new(Outcome::default()));
    let cluster = Cluster::start().await;
    let cases = record::cases(&folder);
    let all = stream::iter(&cases)
        .map(|case| check(&cluster, &folder, case, &allowed, &outcome))
        .buffer_unordered(AT_ONCE);
    all.collect::<()>().await;

    let Outcome { manifests, objects, ready, mut failures, used } = outcome.into_inner().unwrap();
    println!("{manifests} manifests, {objects} objects and statuses on record, {ready} graphs made ready");
    failures.extend(allowed.complaints(&used));
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(manifests >= 62 && objects > 1200 && ready >= 58, "less was compared than there is on record");
}
