//! Values for clusters that ask for more than a default install: disruption, spreading, probes, network policies.
//! Must not change a default install: every one of them is off by default.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, RELEASE, platform, text};
use crate::or_skip;

#[test]
fn a_default_install_has_none_of_them() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    for kind in ["PodDisruptionBudget", "NetworkPolicy"] {
        assert!(!objects.list().iter().any(|name| name.starts_with(kind)));
    }
    for key in ["priorityClassName", "nodeSelector", "topologySpreadConstraints"] {
        assert!(objects.pod().get(key).is_none(), "{key}");
    }
}

#[test]
fn a_disruption_budget_has_one_bound_and_selects_the_operator() {
    let helm = or_skip!(Helm::find(), "helm");
    let budget = |values: Value| {
        let mut budget = values;
        budget["enabled"] = json!(true);
        json!({"controllerManager": {"replicas": 3, "podDisruptionBudget": budget}})
    };
    for (values, key, bound) in [
        (json!({}), "maxUnavailable", json!(1)),
        (json!({"maxUnavailable": 0}), "maxUnavailable", json!(0)),
        (json!({"maxUnavailable": "50%"}), "maxUnavailable", json!("50%")),
        (json!({"minAvailable": 2}), "minAvailable", json!(2)),
        (json!({"minAvailable": 0}), "minAvailable", json!(0)),
    ] {
        let objects = helm.operator(&budget(values.clone()));
        let spec = &objects.get("PodDisruptionBudget", &format!("{FULLNAME}-controller-manager"))["spec"];
        let selector = &objects.deployment()["spec"]["selector"];
        assert_eq!(*spec, json!({key: bound, "selector": selector}), "{values}");
    }
    let both = helm.refusal(&budget(json!({"minAvailable": 1, "maxUnavailable": 1})));
    assert!(both.contains("podDisruptionBudget") && both.contains("Kubernetes takes one"), "{both}");
}

#[test]
fn placement_reaches_the_pod_and_the_hook_jobs_but_spreading_only_the_pod() {
    let helm = or_skip!(Helm::find(), "helm");
    let constraint =
        json!({"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"});
    let objects = helm.operator(&json!({
        "controllerManager": {
            "priorityClassName": "system-cluster-critical", "nodeSelector": {"pool": "cpu"},
            "topologySpreadConstraints": [constraint],
        },
        "webhook": {"certGenerator": {"enabled": true}},
    }));
    assert_eq!(objects.pod()["topologySpreadConstraints"], json!([constraint]));
    let jobs = objects.0.iter().filter(|object| object["kind"] == "Job");
    let pods: Vec<&Value> = jobs.map(|job| &job["spec"]["template"]["spec"]).chain([objects.pod()]).collect();
    assert_eq!(pods.len(), 3);
    for pod in &pods {
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        assert_eq!(pod["nodeSelector"], json!({"pool": "cpu"}));
    }
    assert_eq!(pods.iter().filter(|pod| pod.get("topologySpreadConstraints").is_some()).count(), 1);
}

#[test]
fn fields_of_probes_stand_over_the_defaults_and_another_handler_takes_the_place_of_theirs() {
    let helm = or_skip!(Helm::find(), "helm");
    let probes = |liveness: Value, readiness: Value| {
        let probes = json!({"livenessProbe": liveness, "readinessProbe": readiness});
        let objects = helm.operator(&json!({"controllerManager": {"manager": probes}}));
        ["livenessProbe", "readinessProbe"].map(|key| objects.manager()[key].clone())
    };
    let get = |path: &str| json!({"path": path, "port": 8081});
    let [liveness, readiness] = probes(
        json!({"initialDelaySeconds": 0, "timeoutSeconds": 5}),
        json!({"httpGet": {"scheme": "HTTP"}, "periodSeconds": 3}),
    );
    assert_eq!(
        liveness,
        json!({"httpGet": get("/healthz"), "initialDelaySeconds": 0, "periodSeconds": 20, "timeoutSeconds": 5})
    );
    let mut ready = get("/readyz");
    ready["scheme"] = json!("HTTP");
    assert_eq!(readiness, json!({"httpGet": ready, "initialDelaySeconds": 5, "periodSeconds": 3}));
    let [liveness, readiness] = probes(json!({"tcpSocket": {"port": 8081}}), Value::Null);
    assert_eq!(
        liveness,
        json!({"tcpSocket": {"port": 8081}, "initialDelaySeconds": 15, "periodSeconds": 20})
    );
    assert_eq!(readiness["httpGet"], get("/readyz"));
}

#[test]
fn hook_jobs_tolerate_what_the_operator_does_unless_they_have_a_list_of_their_own() {
    let helm = or_skip!(Helm::find(), "helm");
    let toleration = |key: &str| json!([{"key": key, "operator": "Exists"}]);
    for (own, wanted) in [
        (Value::Null, toleration("operator")),
        (toleration("job"), toleration("job")),
        (json!([]), Value::Null),
    ] {
        let objects = helm.operator(&json!({
            "controllerManager": {"tolerations": toleration("operator")},
            "webhook": {"certGenerator": {"enabled": true, "tolerations": own}},
        }));
        assert_eq!(objects.pod()["tolerations"], toleration("operator"));
        let jobs: Vec<&Value> = objects.0.iter().filter(|object| object["kind"] == "Job").collect();
        assert_eq!(jobs.len(), 2);
        for job in jobs {
            assert_eq!(job["spec"]["template"]["spec"]["tolerations"], wanted, "with {own}");
        }
    }
}

/// Ports of a policy, with who may come.
fn ingress(objects: &Objects, name: &str) -> Vec<(Vec<u64>, Value)> {
    let policy = &objects.get("NetworkPolicy", name)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress"]), "nothing is closed to the operator itself");
    let rules = policy["ingress"].as_array().into_iter().flatten();
    let ports = |rule: &Value| {
        let ports = rule["ports"].as_array().into_iter().flatten();
        ports.map(|port| port["port"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    rules.map(|rule| (ports(rule), rule["from"].clone())).collect()
}

#[test]
fn network_policies_open_the_ports_of_the_operator_and_no_other() {
    let helm = or_skip!(Helm::find(), "helm");
    let name = format!("{FULLNAME}-controller-manager");
    let everybody = || Value::Null;
    let objects = helm.operator(&json!({"networkPolicy": {"enabled": true}}));
    let expected = [(vec![8443], everybody()), (vec![8081], everybody()), (vec![9443], everybody())];
    assert_eq!(ingress(&objects, &name), expected);
    assert_eq!(
        objects.get("NetworkPolicy", &name)["spec"]["podSelector"],
        objects.deployment()["spec"]["selector"]
    );
    let api = json!([{"ipBlock": {"cidr": "198.51.100.0/24"}}]);
    let prometheus =
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let objects = helm.operator(&json!({
        "networkPolicy": {"enabled": true, "webhookFrom": api, "metricsFrom": prometheus},
        "controllerManager": {"kubeRbacProxy": {"args": ["--secure-listen-address=:9999"]}},
    }));
    let expected = [(vec![9999], prometheus), (vec![8081], everybody()), (vec![9443], api)];
    assert_eq!(ingress(&objects, &name), expected);
    let objects = helm.operator(&json!({"networkPolicy": {"enabled": true}, "webhook": {"enabled": false}}));
    assert_eq!(ingress(&objects, &name), [(vec![8443], everybody()), (vec![8081], everybody())]);
}

#[test]
fn bundled_nats_and_etcd_get_policies_that_close_member_ports_to_others() {
    let helm = or_skip!(Helm::find(), "helm");
    let with_both = |nats: Value, etcd: Value| {
        let values = json!({
            "nats": nats, "etcd": etcd, "dynamo-operator": {"networkPolicy": {"enabled": true}},
        });
        Objects::parse(&helm.template(&platform(), RELEASE, NAMESPACE, &values))
    };
    let with = |nats: Value| with_both(nats, json!({"enabled": true}));
    let objects = with(json!({"enabled": true}));
    for (part, open, members) in [("nats", vec![4222, 8222], 6222), ("etcd", vec![2379], 2380)] {
        let name = format!("{FULLNAME}-{part}");
        let mut labels = json!({"app.kubernetes.io/name": part, "app.kubernetes.io/instance": RELEASE});
        if part == "etcd" {
            labels["app.kubernetes.io/component"] = json!("etcd");
        }
        let pods = json!({ "matchLabels": labels });
        let policy = objects.get("NetworkPolicy", &name);
        assert_eq!(policy["spec"]["podSelector"], pods);
        assert_eq!(text(&policy["metadata"]["namespace"]), NAMESPACE);
        let among = json!([{"podSelector": pods}]);
        assert_eq!(ingress(&objects, &name), [(open, Value::Null), (vec![members], among)]);
    }
    let moved = json!({"enabled": true, "config": {"nats": {"port": 5222}, "monitor": {"port": 9222}}});
    assert_eq!(ingress(&with(moved), &format!("{FULLNAME}-nats"))[0].0, [5222, 9222]);
    let exporter = json!({"enabled": true, "port": 7778});
    let measured =
        with_both(json!({"promExporter": exporter}), json!({"metrics": {"podMonitor": {"enabled": true}}}));
    assert_eq!(ingress(&measured, &format!("{FULLNAME}-nats"))[0].0, [4222, 8222, 7778]);
    assert_eq!(ingress(&measured, &format!("{FULLNAME}-etcd"))[0].0, [2379, 2381]);
    let off = helm.objects(
        RELEASE,
        NAMESPACE,
        &json!({"nats": {"enabled": false}, "etcd": {"enabled": false}, "dynamo-operator": {"networkPolicy": {"enabled": true}}}),
    );
    assert_eq!(off.list().iter().filter(|name| name.starts_with("NetworkPolicy")).count(), 1);
}

/// The parts may be called otherwise, be somewhere else, and talk by other ports.
#[test]
fn policies_of_bundled_parts_follow_their_pods() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.objects(
        RELEASE,
        NAMESPACE,
        &json!({
            "nats": {
                "nameOverride": "bus", "namespaceOverride": "infra",
                "config": {"cluster": {"enabled": true, "port": 7222}},
            },
            "etcd": {"nameOverride": "store"},
            "dynamo-operator": {"networkPolicy": {"enabled": true}},
        }),
    );
    for (part, set, members) in
        [("nats", "dynamo-platform-bus", 7222), ("etcd", "dynamo-platform-store", 2380)]
    {
        let name = format!("{FULLNAME}-{part}");
        let (policy, set) = (objects.get("NetworkPolicy", &name), objects.get("StatefulSet", set));
        assert_eq!(policy["metadata"]["namespace"], set["metadata"]["namespace"], "{part}");
        let (selector, template) = (&policy["spec"]["podSelector"], &set["spec"]["template"]);
        for (label, value) in selector["matchLabels"].as_object().expect("labels") {
            assert_eq!(template["metadata"]["labels"][label], *value, "{part}: {label}");
        }
        let among = (vec![members], json!([{"podSelector": selector}]));
        assert_eq!(ingress(&objects, &name)[1], among);
        let port = json!(members);
        let ports = template["spec"]["containers"][0]["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|own| own["containerPort"] == port), "{part}: {ports:?}");
    }
}

/// Null takes a key away, also the default of the chart (charts.md section 3).
#[test]
fn a_null_is_as_good_as_the_default() {
    let helm = or_skip!(Helm::find(), "helm");
    let default = helm.operator(&json!({}));
    for path in [
        "serviceAccount",
        "istioVirtualServiceEnabled",
        "kubernetesClusterDomain",
        "namespaceRestriction.clusterObjects",
        "controllerManager.podDisruptionBudget",
        "controllerManager.priorityClassName",
        "controllerManager.nodeSelector",
        "controllerManager.topologySpreadConstraints",
        "controllerManager.manager.livenessProbe",
        "controllerManager.manager.readinessProbe",
        "controllerManager.kubeRbacProxy",
        "metricsService.type",
        "metricsService.ports",
        "metricsService.authentication",
        "metricsService.serviceMonitor",
        "controllerManager.manager.image.digest",
        "webhook.certGenerator.tolerations",
        "networkPolicy",
        "dynamo.dockerRegistry",
        "dynamo.dynamoIngressSuffix",
        "dynamo.metrics",
        "dynamo.natsAuth",
        "dynamo.etcdAuth",
        "dynamo.natsTLS",
    ] {
        let values = path.rsplit('.').fold(Value::Null, |values, key| json!({key: values}));
        assert_eq!(helm.operator(&values).0, default.0, "{path}: null");
    }
}

#[test]
fn values_for_compatibility_change_nothing() {
    let helm = or_skip!(Helm::find(), "helm");
    let render = |values: &Value| {
        let output = helm.template(&platform(), RELEASE, NAMESPACE, &json!({"dynamo-operator": values}));
        assert!(output.ok, "{values}: {}", output.stderr);
        output.stdout
    };
    let default = render(&json!({}));
    for values in [
        json!({"serviceAccount": {"create": false, "name": "mine"}}),
        json!({"dynamo": {"dockerRegistry": {"secure": false}}}),
        json!({"dynamo": {"mpiRun": {"sshKeygen": {"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}}}}}),
        json!({"controllerManager": {"kubeRbacProxy": {
            "args": ["--v=4"], "image": {"repository": "r", "tag": 1, "pullPolicy": "Never"},
            "resources": {"limits": {"cpu": "1"}}, "containerSecurityContext": {"runAsUser": 1},
        }}}),
    ] {
        assert_eq!(render(&values), default, "{values}");
    }
}
