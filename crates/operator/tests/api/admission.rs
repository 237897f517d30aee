//! Admission as a user meets it: real requests to a real API server, reviewed over TLS by the operator's own process.

mod agreement;
mod asked;
mod forms;
mod rules;

use dynamo_devkit::control_plane::free_ports;
use dynamo_testkit::{
    Operator, Plane,
    webhooks::{self, Registration, Webhooks},
};
use k8s_openapi::api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::Namespace,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::PROGRAM;

/// The Lease that reviewing operators wait for, so that none of them changes what a test made.
const HELD: &str = "held-by-the-test";

/// An operator that reviews the objects of `namespaces` and reconciles nothing. Every other flag comes from `args`.
async fn reviewer(
    plane: &Plane,
    client: &Client,
    prefix: &str,
    namespaces: &[&str],
    args: &[&str],
) -> Reviewer {
    hold_the_lease(client).await;
    let [port] = free_ports::<1>().unwrap();
    let reviewed: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
    let registration = Registration { prefix, namespace: "default", port, reviewed: &reviewed };
    let names = webhooks::register(client, &registration).await;
    let flags = webhooks::flags(&names, port);
    let lease = format!("--leader-election-id={HELD}");
    let fixed = ["--leader-elect", &lease, "--leader-election-namespace=default"];
    let all: Vec<&str> = flags.iter().map(String::as_str).chain(fixed).chain(args.iter().copied()).collect();
    Reviewer { operator: Operator::start(PROGRAM, plane, &all), names }
}

struct Reviewer {
    operator: Operator,
    names: Webhooks,
}

impl Reviewer {
    /// Ends the reviews before the operator, so that no request meets a registration without a server.
    async fn end(mut self, client: &Client) {
        self.operator.assert_alive();
        webhooks::unregister(client, &self.names).await;
    }
}

async fn hold_the_lease(client: &Client) {
    let lease = Lease {
        spec: Some(LeaseSpec {
            holder_identity: Some("the test".to_owned()),
            lease_duration_seconds: Some(3600),
            ..LeaseSpec::default()
        }),
        ..Lease::default()
    };
    let mut lease = serde_json::to_value(lease).unwrap();
    lease["metadata"] = json!({"name": HELD});
    let api = Api::<Lease>::namespaced(client.clone(), "default");
    api.patch(HELD, &PatchParams::apply("test").force(), &Patch::Apply(lease)).await.unwrap();
}

async fn make_namespace(client: &Client, name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let api = Api::<Namespace>::all(client.clone());
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(namespace)).await.unwrap();
}
