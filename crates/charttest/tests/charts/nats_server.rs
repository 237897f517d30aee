//! The configuration that bundled NATS renders, read by the real server (`nats-server -t`).
//! Must not start a server.

use std::path::Path;
use std::process::Command;

use dynamo_devkit::pki::Authority;
use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, RELEASE, program, text};
use crate::or_skip;

fn configuration(helm: &Helm, config: &Value) -> String {
    let ca = json!({"enabled": true, "configMapName": "ca"});
    let objects = helm.objects(RELEASE, NAMESPACE, &json!({"nats": {"config": config, "tlsCA": ca}}));
    text(&objects.get("ConfigMap", "dynamo-platform-nats-config")["data"]["nats.conf"]).to_owned()
}

/// The folders of the pod, below `root`; each certificate is the same one.
fn in_folder(text: &str, root: &Path) -> String {
    let folder = root.display();
    let mut text = text
        .replace("/etc/nats-ca-cert/ca.crt", &format!("{folder}/tls.crt"))
        .replace("/var/run/nats", &folder.to_string())
        .replace("\"/data", &format!("\"{folder}/data"));
    for listener in ["nats", "cluster", "leafnodes", "websocket", "mqtt", "gateway"] {
        text = text.replace(&format!("/etc/nats-certs/{listener}/"), &format!("{folder}/"));
    }
    text
}

/// Value sets below `config`, and what of the result to look for.
fn sets() -> Vec<(Value, &'static str)> {
    let tls = json!({"enabled": true, "tls": {"enabled": true, "merge": {"verify": true}}});
    let on = json!({"enabled": true});
    vec![
        (json!({}), "\"max_file_store\": 10737418240"),
        (json!({}), "\"max_payload\": 15728640"),
        (json!({"merge": {"max_payload": null}}), "\"port\": 4222"),
        (json!({"cluster": on}), "nats://dynamo-platform-nats-2.dynamo-platform-nats-headless:6222"),
        (
            json!({"cluster": {"enabled": true, "replicas": 2, "tls": {"enabled": true}, "routeURLs": {"user": "a", "password": "b@/", "useFQDN": true}}}),
            "tls://a:b%40%2F@dynamo-platform-nats-1.dynamo-platform-nats-headless.dynamo-system.svc.cluster.local:6222",
        ),
        (json!({"cluster": {"enabled": true, "patch": [{"op": "remove", "path": "/routes/0"}]}}), "nats-1"),
        (json!({"nats": {"tls": {"enabled": true}}, "monitor": {"tls": on}}), "\"https_port\": 8222"),
        (json!({"nats": {"tls": {"enabled": true, "merge": {"verify": true}}}}), "\"verify\": true"),
        (
            json!({"nats": {"tls": {"enabled": true, "patch": [{"op": "add", "path": "/timeout", "value": 3}]}}}),
            "\"timeout\": 3",
        ),
        (
            json!({"jetstream": {"fileStore": {"enabled": false}, "memoryStore": {"enabled": true, "maxSize": "512Mi"}}}),
            "\"max_memory_store\": 536870912",
        ),
        (
            json!({"jetstream": {"fileStore": {"maxSize": "1.5G", "dir": "/data/js"}}}),
            "\"max_file_store\": 1500000000",
        ),
        (json!({"jetstream": {"fileStore": {"maxSize": 1_073_741_824}}}), "\"max_file_store\": 1073741824"),
        (json!({"jetstream": {"merge": {"domain": "hub"}}}), "\"domain\": \"hub\""),
        (json!({"jetstream": {"enabled": false}, "monitor": {"enabled": false}}), "\"port\": 4222"),
        (
            json!({"leafnodes": on, "websocket": on, "mqtt": on, "gateway": on, "profiling": on}),
            "\"prof_port\": 65432",
        ),
        (json!({"leafnodes": tls, "websocket": tls, "mqtt": tls, "gateway": tls}), "\"leafnodes\""),
        (json!({"resolver": {"enabled": true}}), "\"dir\": \"FOLDER/data/resolver\""),
        (
            json!({"merge": {"authorization": {"token": "<< $TOKEN >>"}, "max_payload": "<< 8MB >>"}}),
            "\"token\": $TOKEN",
        ),
        (
            json!({"merge": {"authorization": {"users": [{"user": "a", "password": "<< $PASSWORD >>"}]}}}),
            "$PASSWORD",
        ),
        (
            json!({"merge": {"accounts": {"A": {"jetstream": true, "users": [{"user": "a", "password": "b<>&\"\\c"}]}}}}),
            "b<>&\\\"\\\\c",
        ),
        (json!({"merge": {"00$include": "extra.conf", "zz$include": "./extra.conf"}}), "include extra.conf;"),
        (
            json!({"patch": [{"op": "add", "path": "/debug", "value": true}, {"op": "remove", "path": "/http_port"}]}),
            "\"debug\": true",
        ),
    ]
}

#[test]
fn the_server_takes_the_configuration_of_every_value_set() {
    let helm = or_skip!(Helm::find(), "helm");
    let server = or_skip!(program("NATS_SERVER", "nats-server"), "nats-server");
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("test").expect("an authority");
    authority.write_server(folder.path(), "tls", &["localhost"]).expect("a certificate");
    std::fs::write(folder.path().join("extra.conf"), "max_connections: 7\n").expect("a file");
    for (config, words) in sets() {
        let text = in_folder(&configuration(&helm, &config), folder.path());
        let words = words.replace("FOLDER", &folder.path().display().to_string());
        assert!(text.contains(&words), "{config}: {words} is missing in {text}");
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, &text).expect("the configuration is written");
        let output = Command::new(&server)
            .arg("-t")
            .arg("-c")
            .arg(&file)
            .env("SERVER_NAME", "nats-0")
            .env("TOKEN", "token")
            .env("PASSWORD", "secret")
            .output()
            .expect("nats-server starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{config}: {stderr}{text}");
    }
}
