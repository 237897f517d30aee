//! Requests as the operator's account against a real API server: the installed roles allow its work and no more.
//! Must not repeat `rights.rs`, which reads rules: here the API server decides.

use std::process::Output;

use dynamo_devkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, text};
use crate::or_skip;
use crate::plane::{Installed, TENANT, forbidden, kubectl, ok, operator, plane, settled};

/// One request per right; the API server decides by the roles that Helm installed.
struct Attempt {
    what: &'static str,
    args: Vec<String>,
    input: String,
    allowed: bool,
}

fn attempt(allowed: bool, what: &'static str, command: &str, input: &str) -> Attempt {
    let args = command.split_whitespace().map(|word| word.replace("FULLNAME", FULLNAME)).collect();
    Attempt { what, args, input: input.to_owned(), allowed }
}

fn check(request: impl Fn(&[&str], &str) -> Output, attempts: &[Attempt]) {
    for Attempt { what, args, input, allowed } in attempts {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = request(&args, input);
        if *allowed {
            ok(&output, what);
        } else {
            forbidden(&output, what);
        }
    }
}

fn secret(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {{a: b}}\n"
    )
}

fn lease(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    )
}

fn claim(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: {TENANT}}}\n\
         spec: {{accessModes: [ReadWriteMany], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

const CONFIG: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: graph-epp-config, namespace: tenant}\ndata: {a: b}\n";
const INGRESS: &str = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: graph, namespace: tenant}\n\
    spec: {defaultBackend: {service: {name: graph-frontend, port: {number: 8000}}}}\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: checkpoint-a, namespace: tenant}\n\
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: a}]}}}\n";

/// What both scopes may do with the certificate and the configurations, and no more.
fn certificate_attempts(suffix: &str) -> Vec<Attempt> {
    let validating = format!("validatingwebhookconfiguration FULLNAME-validating{suffix}");
    let named =
        |name: &str| format!("get validatingwebhookconfigurations --field-selector=metadata.name={name}");
    vec![
        attempt(true, "makes the certificate", "create -f -", &secret(NAMESPACE, "webhook-server-cert")),
        attempt(
            true,
            "renews it",
            "patch secret webhook-server-cert -n dynamo-system --type=merge -p {}",
            "",
        ),
        attempt(false, "replaces it", "replace -f -", &secret(NAMESPACE, "webhook-server-cert")),
        attempt(
            true,
            "watches it",
            "get secrets -n dynamo-system --field-selector=metadata.name=webhook-server-cert",
            "",
        ),
        attempt(false, "renews another Secret", "patch secret other -n dynamo-system --type=merge -p {}", ""),
        attempt(true, "watches its configuration", &named(&format!("FULLNAME-validating{suffix}")), ""),
        attempt(false, "watches all configurations", "get validatingwebhookconfigurations", ""),
        attempt(true, "annotates its configuration", &format!("patch {validating} --type=merge -p {{}}"), ""),
        attempt(
            false,
            "changes another one",
            "patch validatingwebhookconfiguration other --type=merge -p {}",
            "",
        ),
        attempt(false, "deletes its configuration", &format!("delete {validating}"), ""),
    ]
}

/// Objects that the attempts need or must not touch.
fn surroundings(plane: &ControlPlane) {
    let other = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: other}\n";
    let source = secret(NAMESPACE, "mpi-run-ssh-secret");
    let secrets = [secret(NAMESPACE, "other"), secret(TENANT, "other")];
    let documents = [other, &source, &secrets[0], &secrets[1], &claim("models")].join("---\n");
    plane.kubectl().apply(&documents).expect("the surroundings");
    let left = ["delete", "secret,lease,rolebinding,job", "--ignore-not-found", "-n"];
    for (namespace, name) in [
        (NAMESPACE, "webhook-server-cert"),
        (TENANT, "mpi-run-ssh-secret"),
        (TENANT, "dynamo-operator-namespace-scope"),
        (TENANT, "checkpoint-a"),
    ] {
        plane.kubectl().run(&[&left[..], &[namespace, name]].concat()).expect("traces of other tests go");
    }
}

#[test]
fn a_cluster_wide_operator_can_do_its_work_and_no_more() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let installed = Installed::new(&helm, plane, operator(&json!({})));
    check(|args, input| installed.account(args, input), &certificate_attempts(""));
    let marker = "get leases -A --field-selector=metadata.name=dynamo-operator-namespace-scope";
    let bind = |role: &str| {
        format!(
            "create rolebinding b-{role} -n tenant --clusterrole={role} --serviceaccount=tenant:a --dry-run=server"
        )
    };
    check(
        |args, input| installed.account(args, input),
        &[
            attempt(true, "watches marker Leases everywhere", marker, ""),
            attempt(false, "watches all Leases", "get leases -A", ""),
            attempt(
                true,
                "indexes registry Secrets",
                "get secrets -A --field-selector=type=kubernetes.io/dockerconfigjson",
                "",
            ),
            attempt(true, "copies the MPI key", "create -f -", &secret(TENANT, "mpi-run-ssh-secret")),
            attempt(
                true,
                "keeps the copy current",
                "patch secret mpi-run-ssh-secret -n tenant --type=merge -p {}",
                "",
            ),
            attempt(false, "applies another Secret", "apply --server-side -f -", &secret(TENANT, "other")),
            attempt(false, "deletes a Secret", "delete secret other -n tenant", ""),
            attempt(true, "hands out the planner's role", &bind("FULLNAME-planner"), ""),
            attempt(true, "hands out the endpoint picker's role", &bind("FULLNAME-epp"), ""),
            attempt(
                false,
                "hands out the profiling role, which nothing needs yet",
                &bind("FULLNAME-dgdr-profiling"),
                "",
            ),
            attempt(false, "hands out everything", &bind("cluster-admin"), ""),
            attempt(true, "reads a role that it hands out", "get clusterrole FULLNAME-planner", ""),
            attempt(false, "reads other cluster roles", "get clusterrole cluster-admin", ""),
            attempt(true, "makes a claim", "create --dry-run=server -f -", &claim("more")),
            attempt(false, "deletes one", "delete pvc models -n tenant", ""),
            attempt(false, "resizes one", "patch pvc models -n tenant --type=merge -p {}", ""),
            attempt(true, "makes a ConfigMap", "apply --server-side -f -", CONFIG),
            attempt(true, "deletes it", "delete configmap graph-epp-config -n tenant", ""),
            attempt(true, "makes an Ingress", "apply --server-side -f -", INGRESS),
            attempt(true, "deletes it", "delete ingress graph -n tenant", ""),
            attempt(false, "makes a Job, while checkpoints are off", "create -f -", JOB),
            attempt(
                false,
                "replaces a Deployment",
                "replace --raw /apis/apps/v1/namespaces/tenant/deployments/a -f -",
                "{}",
            ),
        ],
    );
}

#[test]
fn a_restricted_operator_can_do_its_work_in_its_namespace_and_no_more() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let restriction = json!({"namespaceRestriction": {"enabled": true, "targetNamespace": TENANT}});
    let installed = Installed::new(&helm, plane, operator(&restriction));
    check(|args, input| installed.account(args, input), &certificate_attempts("-dynamo-system"));
    let marker = lease(TENANT, "dynamo-operator-namespace-scope");
    check(
        |args, input| installed.account(args, input),
        &[
            attempt(true, "claims its namespace", "create -f -", &marker),
            attempt(true, "renews the claim", "replace -f -", &marker),
            attempt(
                false,
                "patches the claim, which would not be bound to the version that was seen",
                "patch lease dynamo-operator-namespace-scope -n tenant --type=merge -p {}",
                "",
            ),
            attempt(true, "gives it back", "delete lease dynamo-operator-namespace-scope -n tenant", ""),
            attempt(
                false,
                "claims another namespace",
                "create -f -",
                &lease("team", "dynamo-operator-namespace-scope"),
            ),
            attempt(
                false,
                "watches marker Leases everywhere",
                "get leases -A --field-selector=metadata.name=dynamo-operator-namespace-scope",
                "",
            ),
            attempt(
                true,
                "indexes registry Secrets",
                "get secrets -n tenant --field-selector=type=kubernetes.io/dockerconfigjson",
                "",
            ),
            attempt(false, "reads Secrets elsewhere", "get secrets -n team", ""),
            attempt(
                true,
                "reads the MPI key of the release",
                "get secret mpi-run-ssh-secret -n dynamo-system",
                "",
            ),
            attempt(
                true,
                "makes the MPI key of the release",
                "create --dry-run=server -f -",
                &secret(NAMESPACE, "made"),
            ),
            attempt(
                true,
                "writes it",
                "patch secret mpi-run-ssh-secret -n dynamo-system --type=merge -p {}",
                "",
            ),
            attempt(
                false,
                "reads other Secrets of the release namespace",
                "get secret other -n dynamo-system",
                "",
            ),
            attempt(true, "copies the MPI key", "create -f -", &secret(TENANT, "mpi-run-ssh-secret")),
            attempt(
                true,
                "keeps the copy current",
                "patch secret mpi-run-ssh-secret -n tenant --type=merge -p {}",
                "",
            ),
            attempt(
                false,
                "hands out a cluster role",
                "create rolebinding b -n tenant --clusterrole=cluster-admin --serviceaccount=tenant:a",
                "",
            ),
        ],
    );
}

#[test]
fn with_checkpoints_on_an_operator_makes_their_jobs_and_deletes_none() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let installed = Installed::new(&helm, plane, operator(&json!({"checkpoint": {"enabled": true}})));
    check(
        |args, input| installed.account(args, input),
        &[
            attempt(true, "makes a Job", "apply --server-side -f -", JOB),
            attempt(true, "looks at it", "get job checkpoint-a -n tenant", ""),
            attempt(false, "replaces it", "replace -f -", JOB),
            attempt(false, "deletes it", "delete job checkpoint-a -n tenant", ""),
        ],
    );
}

/// Helm would run the jobs; here their accounts do what the jobs do.
#[test]
fn the_accounts_of_the_hook_jobs_can_make_and_publish_a_certificate_and_no_more() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let values = operator(&json!({"webhook": {"certGenerator": {"enabled": true}}}));
    let rendered = helm.objects("hooked", NAMESPACE, &values).0.into_iter();
    let about_webhooks = rendered.filter(|object| {
        let kind = text(&object["kind"]);
        (kind.contains("Role") && text(&object["metadata"]["name"]).contains("-webhook-"))
            || kind.contains("Webhook")
    });
    let about_webhooks: Vec<Value> = about_webhooks.collect();
    let documents: String = about_webhooks.iter().map(|object| format!("---\n{object}\n")).collect();
    plane.kubectl().apply(&documents).expect("the roles and configurations");
    assert!(settled(plane, &about_webhooks, true), "the rights are not in force");

    let certificate = secret(NAMESPACE, "webhook-server-cert");
    let configuration = "validatingwebhookconfiguration hooked-dynamo-operator-validating";
    for (account, attempts) in [
        (
            "webhook-cert-gen",
            vec![
                attempt(true, "makes the certificate", "create -f -", &certificate),
                attempt(true, "looks at it", "get secret webhook-server-cert -n dynamo-system", ""),
                attempt(
                    true,
                    "renews it",
                    "patch secret webhook-server-cert -n dynamo-system --type=merge -p {}",
                    "",
                ),
                attempt(false, "reads another Secret", "get secret other -n dynamo-system", ""),
                attempt(false, "publishes", &format!("patch {configuration} --type=merge -p {{}}"), ""),
            ],
        ),
        (
            "webhook-ca-inject",
            vec![
                attempt(true, "reads the certificate", "get secret webhook-server-cert -n dynamo-system", ""),
                attempt(false, "reads another Secret", "get secret other -n dynamo-system", ""),
                attempt(true, "looks at what is published", &format!("get {configuration}"), ""),
                attempt(true, "publishes", &format!("patch {configuration} --type=merge -p {{}}"), ""),
                attempt(false, "changes another one", "get validatingwebhookconfiguration other", ""),
            ],
        ),
    ] {
        let account = format!("{NAMESPACE}:hooked-dynamo-operator-{account}");
        check(|args, input| kubectl(plane, Some(&account), args, input), &attempts);
    }
    ok(&kubectl(plane, None, &["delete", "-f", "-"], &documents), "the roles and configurations go");
    assert!(settled(plane, &about_webhooks, false), "the rights are still in force");
}
