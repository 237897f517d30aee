//! All objects below a graph or a component, as the operator's controllers would make them one after the other. Composed
//! of what the library renders; no object is described here.

use std::sync::Arc;

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_kubekit::apply::owner_references;
use dynamo_operator::{accounts::PURPOSES, component::Error as ComponentError};
use dynamo_render::{
    Policy,
    checkpoint::build_job,
    claims::Claim,
    component::{self, ComponentObjects},
    graph::{self, DiscoveryObjects, GraphObjects},
    observed::{self, Observed, component_facts, graph_facts},
    picker::PickerObjects,
    validate,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::Value;

use super::value_of;
use crate::{
    error::Error,
    world::{Live, World},
};

/// What becomes of one manifest.
#[derive(Debug, Default)]
pub struct Tree {
    /// The object at the root, as `namespace/name`.
    pub name: String,
    /// Those first that others need.
    pub objects: Vec<Value>,
    /// What the objects lack, for people.
    pub notes: Vec<String>,
    /// Why the operator would not make the rest.
    pub stop: Option<String>,
}

/// The order of kinds in which each finds what it needs.
const ORDER: [&str; 14] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "PersistentVolumeClaim",
    "ConfigMap",
    "DynamoCheckpoint",
    "DynamoGraphDeploymentScalingAdapter",
    "DynamoComponentDeployment",
    "Service",
    "Deployment",
    "Job",
    "Ingress",
    "VirtualService",
    "InferencePool",
];

/// Collects the objects of one tree.
struct Grower<'a> {
    world: &'a World,
    policy: Policy<'a>,
    tree: Tree,
    lacks_owners: bool,
}

impl<'a> Grower<'a> {
    fn new(world: &'a World, namespace: &str, name: &str) -> Self {
        let installation = &world.installation;
        let policy = Policy {
            restricted: installation.restricted_to.is_some(),
            inference_pools: None,
            config: &installation.config,
        };
        let tree = Tree { name: format!("{namespace}/{name}"), ..Tree::default() };
        Self { world, policy, tree, lacks_owners: false }
    }

    fn add(&mut self, object: &impl serde::Serialize) -> Result<(), Error> {
        self.tree.objects.push(value_of(object)?);
        Ok(())
    }

    /// An object that `owner` controls. An owner without a UID exists in no cluster: the reference is left out.
    fn add_owned<K>(&mut self, mut object: K, owner: &OwnerReference, live: Option<&K>) -> Result<(), Error>
    where
        K: dynamo_kubekit::Object,
    {
        let further = object.meta_mut().owner_references.take();
        if owner.uid.is_empty() {
            self.lacks_owners = true;
        } else {
            object.meta_mut().owner_references = Some(owner_references(owner, further, live));
        }
        self.add(&object)
    }

    fn add_all<K>(
        &mut self,
        objects: impl IntoIterator<Item = K>,
        owner: &OwnerReference,
    ) -> Result<(), Error>
    where
        K: dynamo_kubekit::Object,
    {
        objects.into_iter().try_for_each(|object| self.add_owned(object, owner, None))
    }

    fn finish(mut self) -> Tree {
        if self.lacks_owners {
            self.tree.notes.push(
                "objects are without owner references: what owns them has a UID only once it is in a cluster"
                    .to_owned(),
            );
        }
        let rank = |object: &Value| {
            let kind = object["kind"].as_str().unwrap_or_default();
            ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
        };
        self.tree.objects.sort_by_key(rank);
        self.tree
    }

    /// What the controller of graphs makes, then that of components for each of its own.
    fn graph(&mut self, dgd: &DynamoGraphDeployment) -> Result<(), Error> {
        let world = self.world;
        let config = &world.installation.config;
        let valid = validate::graph(dgd, &self.policy).map_err(|errors| refused(&self.tree.name, &errors))?;
        let facts = graph_facts(&world.live, dgd, world.credentials.clone());
        let namespace = valid.namespace.to_owned();
        let owner = observed::owner_of(dgd);
        let needs_orchestrator = valid.services.values().any(|service| service.multinode.is_some());
        let GraphObjects { claims, checkpoints, adapters, discovery, picker, components, .. } =
            graph::build_objects(&valid, config, &facts);
        self.accounts(dgd, &namespace)?;
        self.claims(claims, &owner)?;
        if self.tree.stop.is_some() {
            return Ok(());
        }
        for checkpoint in &checkpoints {
            self.add(checkpoint)?;
            if let Some(config) = &config.checkpoint {
                self.add_owned(build_job(checkpoint, config), &observed::owner_of(checkpoint), None)?;
            }
        }
        self.add_all(adapters, &owner)?;
        if let Some(DiscoveryObjects { account, role, binding }) = discovery {
            self.add_owned(account, &owner, None)?;
            self.add_owned(role, &owner, None)?;
            self.add_owned(binding, &owner, None)?;
        }
        if let Some(PickerObjects { config, pool }) = picker {
            self.add_all(config, &owner)?;
            if !world.apis.inference_pools {
                self.tree.stop = Some(
                    "no matches for kind \"InferencePool\" in version \"inference.networking.k8s.io/v1\": install the \
                     Gateway API Inference Extension, or name its group in apiGroups of --facts"
                        .to_owned(),
                );
                return Ok(());
            }
            self.add_owned(pool, &owner, None)?;
        }
        if needs_orchestrator {
            self.tree.stop = Some("no multinode orchestrator available".to_owned());
            return Ok(());
        }
        self.components(components, &owner)
    }

    /// Claims that are made, and those that must be there.
    fn claims(&mut self, claims: Vec<Claim>, owner: &OwnerReference) -> Result<(), Error> {
        for claim in claims {
            let name = match claim {
                Claim::Made(claim) => {
                    self.add_owned(*claim, owner, None)?;
                    continue;
                }
                Claim::Expected(name) => name,
            };
            match &self.world.live.claims {
                Some(there) if there.contains(&name) => {}
                Some(_) => {
                    let stop =
                        format!("the claim {name} is not there: make it, or set create: true in spec.pvcs");
                    self.tree.stop.get_or_insert(stop);
                }
                None => {
                    self.tree.notes.push(format!("the claim {name} must be there already: it is not made"));
                }
            }
        }
        Ok(())
    }

    /// The accounts that a cluster-wide operator hands out, with their rights.
    fn accounts(&mut self, dgd: &DynamoGraphDeployment, namespace: &str) -> Result<(), Error> {
        let installation = &self.world.installation;
        if installation.restricted_to.is_some() {
            return Ok(());
        }
        for purpose in PURPOSES.iter().filter(|purpose| purpose.is_needed_by(dgd)) {
            let Some(role) = purpose.role(&installation.roles) else { continue };
            self.add(&purpose.build_account(namespace))?;
            self.add(&purpose.build_binding(namespace, role))?;
        }
        Ok(())
    }

    fn components(
        &mut self,
        components: Vec<DynamoComponentDeployment>,
        owner: &OwnerReference,
    ) -> Result<(), Error> {
        // Components see each other as they will be.
        let mut live = self.world.live.clone();
        let mut wanted = Vec::new();
        for mut component in components {
            let known = live.component(&component.name_any());
            component.metadata.uid = known.as_ref().and_then(|known| known.metadata.uid.clone());
            component.metadata.owner_references = Some(vec![owner.clone()]);
            live.components.retain(|other| other.metadata.name != component.metadata.name);
            let component = Arc::new(component);
            live.components.push(Arc::clone(&component));
            wanted.push(component);
        }
        live.components.sort_by_key(|component| component.name_any());
        for component in wanted {
            let mut shown = (*component).clone();
            shown.metadata.uid = None;
            self.add_owned(shown, owner, None)?;
            self.component(&component, &live)?;
        }
        Ok(())
    }

    fn component(&mut self, dcd: &DynamoComponentDeployment, live: &Live) -> Result<(), Error> {
        let world = self.world;
        let valid =
            validate::component(dcd, &self.policy).map_err(|errors| refused(&dcd.name_any(), &errors))?;
        let facts = component_facts(live, dcd, world.credentials.clone());
        let owner = observed::owner_of(dcd);
        let built = component::build_objects(&valid, &world.installation.config, &facts);
        let objects = match built {
            Ok(objects) => objects,
            Err(error) => {
                self.tree.stop = Some(format!("component {}: {error}", dcd.name_any()));
                return Ok(());
            }
        };
        let ComponentObjects {
            deployment,
            debug_deployment,
            services,
            model_service,
            ingress,
            virtual_service,
        } = objects;
        self.add_owned(deployment, &owner, None)?;
        self.add_all(debug_deployment, &owner)?;
        self.add_all(services, &owner)?;
        if let Some(service) = model_service {
            let known = live.service(&service.name_any());
            let is_made = self.tree.objects.iter().any(|other| {
                other["kind"] == "Service" && other["metadata"]["name"] == service.name_any().as_str()
            });
            // Components of one model share it.
            if !is_made {
                self.add_owned(service, &owner, known.as_deref())?;
            }
        }
        self.add_all(ingress, &owner)?;
        if virtual_service.is_some() && !world.apis.istio {
            self.tree.stop = Some(format!("component {}: {}", dcd.name_any(), ComponentError::NoIstio));
            return Ok(());
        }
        self.add_all(virtual_service, &owner)
    }
}

fn refused(name: &str, errors: &validate::FieldErrors) -> Error {
    Error::Usage(format!("{name} would be refused: {errors}; dynamoctl validate tells more"))
}

/// The tree of a graph. Its UID, if it has one, is that of the cluster.
///
/// # Errors
/// Admission would refuse the graph.
pub fn of_graph(dgd: &DynamoGraphDeployment, world: &World) -> Result<Tree, Error> {
    let mut grower = Grower::new(world, &dgd.namespace().unwrap_or_default(), &dgd.name_any());
    grower.graph(dgd)?;
    Ok(grower.finish())
}

/// The tree of a component that no graph owns.
///
/// # Errors
/// Admission would refuse the component.
pub fn of_component(dcd: &DynamoComponentDeployment, world: &World) -> Result<Tree, Error> {
    let mut grower = Grower::new(world, &dcd.namespace().unwrap_or_default(), &dcd.name_any());
    grower.component(dcd, &world.live)?;
    Ok(grower.finish())
}
