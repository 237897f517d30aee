//! `dynamoctl benchmark setup`: the claim and the token, and every way to end early.

use std::process::{Command, Stdio};

use k8s_openapi::{
    ByteString,
    api::core::v1::{PersistentVolumeClaim, Secret},
};
use kube::Api;
use serde_json::json;

use crate::world::{Answer, NAMESPACE, PROGRAM, World};

const SETUP: [&str; 4] = ["benchmark", "setup", "-n", NAMESPACE];
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

async fn installed(world: &World) {
    let container =
        json!({"name": "main", "ready": true, "state": {}, "image": "", "imageID": "", "restartCount": 0});
    world.pod(NAMESPACE, "dynamo-platform-etcd-0", json!({}), "Running", container).await;
}

async fn claim(world: &World) -> Option<PersistentVolumeClaim> {
    Api::namespaced(world.client.clone(), NAMESPACE).get_opt("dynamo-pvc").await.unwrap()
}

async fn modes(world: &World) -> Vec<String> {
    claim(world).await.unwrap().spec.unwrap().access_modes.unwrap()
}

#[tokio::test]
async fn the_claim_and_the_token_are_made_and_a_second_call_changes_nothing() {
    let world = World::empty().await;
    installed(&world).await;
    world.class("disk", "ebs.csi.aws.com", Some(DEFAULT)).await;
    let setup = || {
        let mut command = world.command(&SETUP);
        Answer::of(command.env("HF_TOKEN", "hf_$HOME").output().unwrap())
    };
    let answer = setup();
    assert_eq!(answer.code, 0, "{answer:?}");
    insta::assert_snapshot!("benchmark_setup", answer.stdout);
    assert!(!answer.stdout.contains("hf_"), "{}", answer.stdout);
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), NAMESPACE);
    let data = secrets.get("hf-token-secret").await.unwrap().data.unwrap();
    assert_eq!(data["HF_TOKEN"], ByteString(b"hf_$HOME".to_vec()));
    let made = claim(&world).await.unwrap();
    let requests = made.spec.unwrap().resources.unwrap().requests.unwrap();
    assert_eq!(requests["storage"].0, "50Gi");
    let again = setup();
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("dynamo-pvc exists and is left as it is"), "{}", again.stdout);
}

#[tokio::test]
async fn the_access_mode_suits_the_class_and_one_node_is_warned_about() {
    let world = World::empty().await;
    installed(&world).await;
    world.class("shared", "efs.csi.aws.com", Some(DEFAULT)).await;
    let answer = world.run(&SETUP);
    assert_eq!(modes(&world).await, ["ReadWriteMany"]);
    assert!(!answer.stdout.contains("[WARN]"), "{}", answer.stdout);
    drop(world);
    let world = World::empty().await;
    installed(&world).await;
    world.class("disk", "ebs.csi.aws.com", Some(DEFAULT)).await;
    let answer = world.run(&SETUP);
    assert_eq!(modes(&world).await, ["ReadWriteOnce"]);
    assert!(answer.stdout.contains("pods on different nodes cannot use it"), "{}", answer.stdout);
    drop(world);
    let world = World::empty().await;
    installed(&world).await;
    world.class("disk", "ebs.csi.aws.com", Some(DEFAULT)).await;
    world.run(&[&SETUP[..], &["--access-mode", "ReadWriteMany"]].concat());
    assert_eq!(modes(&world).await, ["ReadWriteMany"]);
}

#[tokio::test]
async fn without_the_platform_only_y_goes_on_and_an_end_of_input_stops() {
    let world = World::empty().await;
    let answered = |text: &str| {
        let mut command = world.command(&SETUP);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        Answer::of(child.wait_with_output().unwrap())
    };
    for text in ["", "\n", "n\n", "yes\n", " y\n"] {
        let answer = answered(text);
        assert_eq!(answer.code, 1, "{text:?}: {answer:?}");
        assert!(answer.stdout.contains("Continue anyway? [y/N]: "), "{}", answer.stdout);
        assert!(claim(&world).await.is_none());
    }
    assert_eq!(answered("y\n").code, 0);
    assert!(claim(&world).await.is_some());
}

#[tokio::test]
async fn yes_and_the_variables_force_and_yes_skip_the_question() {
    let world = World::empty().await;
    let with = |words: &[&str], variable: Option<(&str, &str)>| {
        let mut command = world.command(&[&SETUP[..], words].concat());
        command.envs(variable).stdin(Stdio::null());
        Answer::of(command.output().unwrap())
    };
    assert_eq!(with(&[], Some(("FORCE", ""))).code, 1, "empty is unset");
    for answer in [with(&["--yes"], None), with(&[], Some(("FORCE", "1"))), with(&[], Some(("YES", "1")))] {
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.stdout.contains("[WARN]") && !answer.stdout.contains("Continue"), "{}", answer.stdout);
    }
}

#[tokio::test]
async fn the_namespace_comes_from_the_variable_and_must_exist() {
    let world = World::empty().await;
    let mut command = world.command(&["benchmark", "setup"]);
    let answer = Answer::of(command.env("NAMESPACE", "nowhere").output().unwrap());
    assert_eq!(answer.code, 1);
    assert_eq!(answer.stdout, "[ERROR] namespace nowhere does not exist; kubectl create namespace nowhere\n");
    let answer = Answer::of(world.command_as(&world.closed(), &SETUP).output().unwrap());
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.starts_with("[ERROR] cannot read namespace"), "{answer:?}");
}

#[tokio::test]
async fn a_set_up_whose_result_is_not_there_is_exit_1() {
    let world = World::empty().await;
    installed(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"home": "$HOME"},
        "metadata": {"name": "other", "namespace": "${NAMESPACE}"}});
    std::fs::write(folder.path().join("other.yaml"), other.to_string()).unwrap();
    std::fs::write(folder.path().join("pvc-access-pod.yaml"), "not applied: [").unwrap();
    let answer = world.run(&[&SETUP[..], &["--manifests", folder.path().to_str().unwrap()]].concat());
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stdout.contains("[ERROR] claim dynamo-pvc is not in namespace"), "{}", answer.stdout);
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    assert_eq!(maps.get("other").await.unwrap().data.unwrap()["home"], "$HOME");
}

#[tokio::test]
async fn the_scripts_people_know_call_the_program_with_their_arguments() {
    let world = World::empty().await;
    installed(&world).await;
    let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
    let path = format!("{}:/usr/bin:/bin", std::path::Path::new(PROGRAM).parent().unwrap().display());
    let script = |name: &str, words: &[&str]| {
        let mut command = Command::new(format!("{home}/{name}"));
        command
            .env_clear()
            .env("PATH", &path)
            .env("KUBECONFIG", &world.kubeconfig)
            .env("NAMESPACE", NAMESPACE);
        Answer::of(command.args(words).output().unwrap())
    };
    let setup = script("utils/setup_benchmarking_resources.sh", &["--access-mode", "ReadWriteOnce"]);
    assert_eq!(setup.code, 0, "{setup:?}");
    assert_eq!(modes(&world).await, ["ReadWriteOnce"]);
    let check = script("pre-deployment/pre-deployment-check.sh", &["-o", "json"]);
    assert_eq!((check.code, &check.json()["checks"][0]["id"]), (1, &json!("connectivity")));
}

#[tokio::test]
async fn the_access_pod_is_accepted_by_the_api_server() {
    let world = World::empty().await;
    let text = include_str!("../../../../deploy/utils/manifests/pvc-access-pod.yaml");
    let pod: k8s_openapi::api::core::v1::Pod =
        serde_yaml_ng::from_str(&text.replace("${NAMESPACE}", NAMESPACE)).unwrap();
    world.make_in::<k8s_openapi::api::core::v1::Pod>(NAMESPACE, serde_json::to_value(pod).unwrap()).await;
}
