//! The charts as files: lint, packaging, the paths people type (charts.md section 1). Dependencies: `dependencies.rs`.
//! Must not change the checkout.

use serde_json::json;

use crate::helm::{Helm, NAMESPACE, Objects, Output, RELEASE, charts, operator, platform};
use crate::or_skip;

fn quiet(output: &Output) {
    assert!(output.ok, "{}", output.stderr);
    assert!(!output.stderr.contains("symbolic link"), "{}", output.stderr);
    assert!(!output.stderr.to_lowercase().contains("warning"), "{}", output.stderr);
}

#[test]
fn all_charts_pass_lint_strict() {
    let helm = or_skip!(Helm::find(), "helm");
    for chart in [charts().join("crds"), platform(), operator(), platform().join("components/operator")] {
        let output = helm.run(["lint", "--strict", chart.to_str().expect("a plain path")]);
        assert!(output.ok, "{}: {}{}", chart.display(), output.stdout, output.stderr);
    }
}

#[test]
fn every_certificate_mode_and_scope_passes_lint_strict() {
    let helm = or_skip!(Helm::find(), "helm");
    for mode in ["certManager.enabled", "certificateSecret.external", "certGenerator.enabled"] {
        for restricted in [false, true] {
            let mode = format!("webhook.{mode}=true");
            let scope = format!("namespaceRestriction.enabled={restricted}");
            let chart = operator();
            let chart = chart.to_str().expect("a plain path");
            let output = helm.run(["lint", "--strict", chart, "--set", &mode, "--set", &scope]);
            assert!(output.ok, "{mode}, {scope}: {}{}", output.stdout, output.stderr);
        }
    }
}

/// The commands of the guides, from the root of a fresh clone, as `helm template` (an install needs a cluster).
#[test]
fn the_literal_install_and_upgrade_commands_render_without_notices() {
    let helm = or_skip!(Helm::find(), "helm");
    quiet(&helm.run(["template", "dynamo-crds", "./deploy/helm/charts/crds", "--namespace", "default"]));
    for extra in [
        "",
        "--set dynamo-operator.namespaceRestriction.enabled=true",
        "--set dynamo-operator.controllerManager.manager.image.repository=localhost/operator \
         --set dynamo-operator.controllerManager.manager.image.tag=dev \
         --set dynamo-operator.imagePullSecrets[0].name=docker-imagepullsecret",
    ] {
        let command =
            format!("template dynamo-platform ./deploy/helm/charts/platform -n dynamo-system {extra}");
        quiet(&helm.run(command.split_whitespace()));
        quiet(&helm.run(format!("{command} --is-upgrade").split_whitespace()));
    }
}

/// `helm upgrade --install` twice changes nothing when install and upgrade render the same objects.
#[test]
fn an_upgrade_renders_what_the_install_rendered() {
    let helm = or_skip!(Helm::find(), "helm");
    let platform = platform();
    let path = platform.to_str().expect("a plain path");
    let install = helm.run(["template", RELEASE, path, "-n", NAMESPACE]);
    let upgrade = helm.run(["template", RELEASE, path, "-n", NAMESPACE, "--is-upgrade"]);
    assert_eq!(install.stdout, upgrade.stdout);
    let hooks = Objects::parse(&install)
        .0
        .iter()
        .filter(|o| o["metadata"]["annotations"].get("helm.sh/hook").is_some())
        .count();
    assert_eq!(hooks, 0, "hooks would run again on every upgrade");
}

#[test]
fn the_packaged_chart_renders_the_same_objects() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = tempfile::tempdir().expect("a folder");
    let target = dir.path().to_str().expect("a plain path");
    quiet(&helm.run(["package", platform().to_str().expect("a plain path"), "--destination", target]));
    let archive = dir.path().join(format!("dynamo-platform-{}.tgz", env!("CARGO_PKG_VERSION")));
    let packaged = helm.template(&archive, RELEASE, NAMESPACE, &json!({}));
    quiet(&packaged);
    assert_eq!(packaged.stdout, helm.template(&platform(), RELEASE, NAMESPACE, &json!({})).stdout);
}
