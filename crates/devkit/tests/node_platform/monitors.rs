//! The monitors in the cluster, and what each of them selects at this moment, asked of the API server and not of Prometheus.
//! Must not name any of them.

use dynamo_devkit::kubectl::Kubectl;
use serde_json::Value;

/// A PodMonitor or a ServiceMonitor.
#[derive(Debug)]
pub struct Monitor {
    /// As Prometheus has it in its configuration.
    kind: &'static str,
    namespace: String,
    pub name: String,
}

impl Monitor {
    /// How the names of its scrape pools begin: one for each of its endpoints.
    pub fn pools(&self) -> String {
        format!("{}/{}/{}/", self.kind, self.namespace, self.name)
    }
}

/// Every monitor that selects a running pod or a Service.
pub fn that_select(kubectl: &Kubectl) -> Vec<Monitor> {
    let mut found = Vec::new();
    let running = "--field-selector=status.phase=Running";
    for (kind, objects, filter) in
        [("podMonitor", "pods", Some(running)), ("serviceMonitor", "services", None)]
    {
        let definition = format!("{}s.monitoring.coreos.com", kind.to_lowercase());
        let list = kubectl.json(&["get", &definition, "-A"]).unwrap();
        for object in list["items"].as_array().unwrap() {
            let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
            let monitor = Monitor { kind, namespace: text("namespace"), name: text("name") };
            let labels = selector(&object["spec"]["selector"]);
            let selects =
                places(&object["spec"]["namespaceSelector"], &monitor.namespace).iter().any(|place| {
                    let words = ["get", objects, "-l", &labels];
                    let words: Vec<&str> =
                        words.into_iter().chain(place.iter().map(String::as_str)).chain(filter).collect();
                    let selected = kubectl.json(&words).unwrap();
                    !selected["items"].as_array().unwrap().is_empty()
                });
            found.extend(selects.then_some(monitor));
        }
    }
    found
}

/// Where a monitor looks, in words for kubectl, one list for each place.
fn places(selector: &Value, own: &str) -> Vec<Vec<String>> {
    let namespace = |name: &str| vec!["-n".to_owned(), name.to_owned()];
    if selector["any"] == true {
        return vec![vec!["-A".to_owned()]];
    }
    match selector["matchNames"].as_array() {
        Some(names) => names.iter().map(|name| namespace(name.as_str().unwrap())).collect(),
        None => vec![namespace(own)],
    }
}

/// A label selector in the words of kubectl.
fn selector(selector: &Value) -> String {
    let mut terms = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push(format!("{key}={}", value.as_str().unwrap()));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap();
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.map(|value| value.as_str().unwrap()).collect();
        terms.push(match expression["operator"].as_str().unwrap() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            other => panic!("operator {other} of a label selector"),
        });
    }
    terms.join(",")
}
