//! The table of watches (`docs/design/architecture.md`): every child of a graph and of a component, deleted and changed,
//! wakes its owner, which puts it back. Each row of the table for an owned kind is a row here.

use dynamo_testkit::{Operator, Plane, eventually, shared};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{PROGRAM, graphs::create};

/// A child, and a change of it that must not last: where it is seen, and the value that comes back.
struct Child {
    kind: (&'static str, &'static str, &'static str),
    name: &'static str,
    change: fn() -> Value,
    seen_at: &'static str,
}

const CHILDREN: [Child; 13] = [
    Child {
        kind: ("apps", "v1", "Deployment"),
        name: "g-worker",
        change: || json!({"metadata": {"labels": {"nvidia.com/dynamo-component": "other"}}}),
        seen_at: "/metadata/labels/nvidia.com~1dynamo-component",
    },
    Child {
        kind: ("", "v1", "Service"),
        name: "g-frontend",
        change: || json!({"spec": {"ports": [{"name": "http", "port": 8000, "targetPort": 1}]}}),
        seen_at: "/spec/ports/0/targetPort",
    },
    Child {
        kind: ("", "v1", "Service"),
        name: "dynamo-model-fb68f5a6",
        change: || json!({"metadata": {"annotations": {"nvidia.com/dynamo-base-model": "other"}}}),
        seen_at: "/metadata/annotations/nvidia.com~1dynamo-base-model",
    },
    Child {
        kind: ("", "v1", "ServiceAccount"),
        name: "g-k8s-service-discovery",
        change: || json!({"metadata": {"labels": {"app.kubernetes.io/component": "other"}}}),
        seen_at: "/metadata/labels/app.kubernetes.io~1component",
    },
    Child {
        kind: ("rbac.authorization.k8s.io", "v1", "Role"),
        name: "g-k8s-service-discovery-role",
        change: || json!({"rules": []}),
        seen_at: "/rules/0/resources/0",
    },
    Child {
        kind: ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
        name: "g-k8s-service-discovery-binding",
        change: || json!({"subjects": []}),
        seen_at: "/subjects/0/name",
    },
    Child {
        kind: ("nvidia.com", "v1alpha1", "DynamoGraphDeploymentScalingAdapter"),
        name: "g-worker",
        change: || json!({"metadata": {"labels": {"nvidia.com/dynamo-component": "other"}}}),
        seen_at: "/metadata/labels/nvidia.com~1dynamo-component",
    },
    Child {
        kind: ("", "v1", "ConfigMap"),
        name: "g-epp-config",
        change: || json!({"data": {"epp-config-dynamo.yaml": "kind: Other"}}),
        seen_at: "/data/epp-config-dynamo.yaml",
    },
    Child {
        kind: ("inference.networking.k8s.io", "v1", "InferencePool"),
        name: "g-pool",
        change: || json!({"spec": {"endpointPickerRef": {"name": "other"}}}),
        seen_at: "/spec/endpointPickerRef/name",
    },
    Child {
        kind: ("networking.k8s.io", "v1", "Ingress"),
        name: "g-frontend",
        change: || json!({"spec": {"ingressClassName": "other"}}),
        seen_at: "/spec/ingressClassName",
    },
    Child {
        kind: ("networking.istio.io", "v1beta1", "VirtualService"),
        name: "g-frontend",
        change: || json!({"spec": {"gateways": ["other/other"]}}),
        seen_at: "/spec/gateways/0",
    },
    Child {
        kind: ("apps", "v1", "Deployment"),
        name: "g-epp",
        change: || json!({"spec": {"replicas": 0}}),
        seen_at: "/spec/replicas",
    },
    Child {
        kind: ("nvidia.com", "v1alpha1", "DynamoComponentDeployment"),
        name: "g-worker",
        change: || json!({"spec": {"replicas": 9}}),
        seen_at: "/spec/replicas",
    },
];

fn graph() -> Value {
    let image = |name: &str| json!({"mainContainer": {"image": name}});
    json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "metadata": {"name": "g"},
        "spec": {"services": {
            "Frontend": {"componentType": "frontend", "extraPodSpec": image("example/serve:1")},
            "Worker": {"componentType": "worker", "replicas": 2, "extraPodSpec": image("example/serve:1"),
                "scalingAdapter": {"enabled": true}, "modelRef": {"name": "Qwen/Qwen3-0.6B"}},
            "Epp": {"componentType": "epp", "extraPodSpec": image("example/picker:1"), "eppConfig": {"config": {
                "plugins": [{"type": "max-score-picker"}],
                "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "max-score-picker"}]}],
            }}},
        }}
    })
}

fn api(client: &Client, ns: &str, (group, version, kind): (&str, &str, &str)) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), ns, &resource)
}

impl Child {
    fn label(&self) -> String {
        format!("{}/{}", self.kind.2, self.name)
    }

    async fn get(&self, client: &Client, ns: &str) -> Result<DynamicObject, String> {
        api(client, ns, self.kind).get(self.name).await.map_err(|error| error.to_string())
    }

    /// The value that is watched, and the object's UID.
    async fn look(&self, client: &Client, ns: &str) -> Result<(Value, String), String> {
        let object = self.get(client, ns).await?;
        let uid = object.uid().unwrap_or_default();
        let object = serde_json::to_value(object).unwrap();
        Ok((object.pointer(self.seen_at).cloned().unwrap_or_default(), uid))
    }
}

#[tokio::test]
async fn a_child_of_any_kind_that_is_changed_or_deleted_is_put_back() {
    let Some(crds) = shared::folder("definitions of optional APIs").map(|folder| folder.join("crds")) else {
        return;
    };
    // With controllers: what a deleted component owned must be collected before it is made again.
    let plane = Plane::start();
    for api in ["gaie", "istio"] {
        plane.install(&crds.join(api));
    }
    let client = plane.client().await;
    let flags = ["--ingress-controller-class-name=nginx", "--istio-virtual-service-gateway=mesh/gateway"];
    let operator = Operator::start(PROGRAM, &plane, &flags);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &graph()).await;
    for child in &CHILDREN {
        let label = child.label();
        let (good, uid) = eventually(&format!("{label} is made"), || child.look(&client, &ns)).await;
        let change = Patch::Merge((child.change)());
        let changed =
            api(&client, &ns, child.kind).patch(child.name, &PatchParams::default(), &change).await.unwrap();
        let changed = serde_json::to_value(changed).unwrap();
        assert_ne!(changed.pointer(child.seen_at), Some(&good), "{label}: the change changes nothing");
        eventually(&format!("{label} is put back"), || async {
            let (value, _) = child.look(&client, &ns).await?;
            if value == good { Ok(()) } else { Err(format!("{value}\n{}", operator.log_text())) }
        })
        .await;
        let params = DeleteParams::background();
        api(&client, &ns, child.kind).delete(child.name, &params).await.unwrap();
        eventually(&format!("{label} is made again"), || async {
            let (value, now) = child.look(&client, &ns).await?;
            if now != uid && value == good { Ok(()) } else { Err(format!("{value} {now}")) }
        })
        .await;
    }
}

#[tokio::test]
async fn an_api_that_is_installed_later_is_used_without_a_restart() {
    let Some(crds) = shared::folder("definitions of optional APIs").map(|folder| folder.join("crds")) else {
        return;
    };
    let plane = Plane::without_controllers();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &["--istio-virtual-service-gateway=mesh/gateway"]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &graph()).await;
    let message = crate::graphs::state(&client, &ns, "g", "failed").await;
    let wanted = "failed to reconcile EPP resources: failed to sync EPP InferencePool: no matches for kind \
                  \"InferencePool\" in version \"inference.networking.k8s.io/v1\"";
    assert_eq!(message, wanted);
    for api in ["gaie", "istio"] {
        plane.install(&crds.join(api));
    }
    // The next look at the API groups is at most a minute away.
    for child in CHILDREN.iter().filter(|child| ["InferencePool", "VirtualService"].contains(&child.kind.2)) {
        let start = std::time::Instant::now();
        while child.get(&client, &ns).await.is_err() {
            assert!(start.elapsed().as_secs() < 90, "{} is not made", child.label());
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}
