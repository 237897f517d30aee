//! Check 2: a default StorageClass, and something that makes its volumes (`tools.md` section 1.2).
//! It trusts what the cluster says; no volume is made.

use k8s_openapi::api::{
    core::v1::Pod,
    storage::v1::{CSIDriver, StorageClass},
};
use kube::{Api, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    layout, pages,
};

/// Annotations of a default class. Kubernetes takes the older one, too.
const MARKS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const CHANGE: &str = "https://kubernetes.io/docs/tasks/administer-cluster/change-default-storage-class/";
/// Of classes whose volumes an administrator makes by hand.
const BY_HAND: &str = "kubernetes.io/no-provisioner";

/// Whether claims that name no class may get this one.
pub fn is_default(class: &StorageClass) -> bool {
    let marks = class.metadata.annotations.as_ref();
    marks.is_some_and(|marks| MARKS.iter().any(|mark| marks.get(*mark).is_some_and(|value| value == "true")))
}

/// Classes, and which of the default ones nobody seems to serve.
#[derive(Debug)]
pub struct Facts {
    classes: Vec<Class>,
    /// Why nobody can tell who serves the classes.
    doubt: Option<String>,
}

#[derive(Debug)]
struct Class {
    name: String,
    provisioner: String,
    reclaim: String,
    binding: String,
    expands: bool,
    default: bool,
    served: bool,
}

impl Class {
    fn of(class: StorageClass) -> Self {
        let default = is_default(&class);
        Self {
            name: class.metadata.name.unwrap_or_default(),
            provisioner: class.provisioner,
            reclaim: class.reclaim_policy.unwrap_or_else(|| "Delete".to_owned()),
            binding: class.volume_binding_mode.unwrap_or_else(|| "Immediate".to_owned()),
            expands: class.allow_volume_expansion.unwrap_or(false),
            default,
            served: true,
        }
    }

    fn row(&self) -> [String; 5] {
        let name = if self.default { format!("{} (default)", self.name) } else { self.name.clone() };
        let expands = self.expands.to_string();
        [name, self.provisioner.clone(), self.reclaim.clone(), self.binding.clone(), expands]
    }
}

/// # Errors
/// Classes cannot be listed.
pub async fn gather(cluster: &Cluster) -> Result<Facts, Error> {
    let client = &cluster.client;
    let found = pages::all(&Api::<StorageClass>::all(client.clone()), ListParams::default()).await;
    let mut classes: Vec<Class> =
        found.map_err(|error| Error::of("list StorageClasses", &error))?.into_iter().map(Class::of).collect();
    classes.sort_by(|a, b| a.name.cmp(&b.name));
    let doubt = look_for_servers(cluster, &mut classes).await.err().map(|error| error.to_string());
    Ok(Facts { classes, doubt })
}

/// Finds out who makes the volumes of the default classes; what cannot be read is taken as served.
async fn look_for_servers(cluster: &Cluster, classes: &mut [Class]) -> Result<(), Error> {
    if !classes.iter().any(|class| class.default) {
        return Ok(());
    }
    let drivers = pages::all(&Api::<CSIDriver>::all(cluster.client.clone()), ListParams::default()).await;
    let drivers = drivers.map_err(|error| Error::of("list CSIDrivers", &error))?;
    let has_driver =
        |class: &Class| drivers.iter().any(|it| it.metadata.name.as_deref() == Some(&class.provisioner));
    if classes.iter().filter(|class| class.default).all(has_driver) {
        return Ok(());
    }
    // Provisioners without CSI tell themselves by their names alone.
    let pods = pages::all(&Api::<Pod>::all(cluster.client.clone()), ListParams::default()).await;
    let pods = pods.map_err(|error| Error::of("list pods of all namespaces", &error))?;
    for class in classes.iter_mut().filter(|class| class.default) {
        class.served = has_driver(class) || pods.iter().any(|pod| provisions(pod, &class.provisioner));
    }
    Ok(())
}

/// Whether the pod runs, and its name, an image, an argument or a variable speaks of the provisioner.
fn provisions(pod: &Pod, provisioner: &str) -> bool {
    let running = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .is_some_and(|phase| phase == "Running");
    let short = provisioner.rsplit('/').next().unwrap_or(provisioner);
    let speaks = |text: &String| text.contains(short);
    let in_container = |container: &k8s_openapi::api::core::v1::Container| {
        let image = container.image.iter();
        let words = container.args.iter().flatten().chain(container.command.iter().flatten());
        let values = container.env.iter().flatten().filter_map(|variable| variable.value.as_ref());
        image.chain(words).chain(values).any(speaks)
    };
    running
        && (pod.metadata.name.as_ref().is_some_and(speaks)
            || pod.spec.as_ref().is_some_and(|spec| spec.containers.iter().any(in_container)))
}

/// The verdict on the classes.
pub fn judge(facts: &Facts) -> Verdict {
    let defaults: Vec<&Class> = facts.classes.iter().filter(|class| class.default).collect();
    if defaults.is_empty() {
        return none(&facts.classes);
    }
    let rows = table(&defaults.iter().map(|class| class.row()).collect::<Vec<_>>());
    let mut verdict =
        Verdict::passed("Default StorageClass found").lines(rows.into_iter().map(|row| format!("  - {row}")));
    if defaults.len() > 1 {
        verdict = verdict.warn("Multiple default StorageClasses detected").hint(
            "Keep one: set the annotation storageclass.kubernetes.io/is-default-class of the others to \"false\"",
        );
    }
    for class in defaults {
        let Class { name, provisioner, .. } = class;
        if provisioner == BY_HAND {
            verdict = verdict.warn(format!(
                "StorageClass {name} makes no volumes by itself ({provisioner}); claims stay Pending until somebody \
                 makes a PersistentVolume for each"
            ));
        } else if !class.served {
            verdict = verdict.warn(format!(
                "nothing seems to serve the provisioner {provisioner} of StorageClass {name}: no CSIDriver of that \
                 name and no running pod that speaks of it; claims may stay Pending"
            ));
        }
    }
    match &facts.doubt {
        Some(reason) => verdict.warn(format!("whether somebody makes the volumes is unknown: {reason}")),
        None => verdict,
    }
}

fn none(classes: &[Class]) -> Verdict {
    let patch = |name: &str| {
        format!(
            "kubectl patch storageclass {name} -p '{{\"metadata\": {{\"annotations\":\
             {{\"storageclass.kubernetes.io/is-default-class\":\"true\"}}}}}}'"
        )
    };
    let mut verdict = Verdict::failed(
        "No default StorageClass found",
        "give one StorageClass the annotation storageclass.kubernetes.io/is-default-class: \"true\"",
    )
    .hint("etcd, NATS and model caches claim volumes without naming a class; the default class makes them.")
    .line("")
    .line("Available StorageClasses in your cluster:");
    if classes.is_empty() {
        verdict = verdict.line("  No StorageClasses found in the cluster");
    } else {
        let head = ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION"]
            .map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(classes.iter().map(Class::row)).collect();
        verdict = verdict.lines(table(&rows));
    }
    verdict = verdict.line("").line(patch("<storage-class-name>"));
    if let Some(first) = classes.first() {
        verdict = verdict.line(patch(&first.name));
    }
    verdict.line(CHANGE)
}

/// Rows with columns of one width, three spaces apart.
fn table(rows: &[[String; 5]]) -> Vec<String> {
    let widths = layout::widths(rows.iter().map(<[String; 5]>::as_slice));
    rows.iter().map(|row| layout::aligned(row, &widths, 3)).collect()
}
