#!/usr/bin/env bash
# Installs an inference gateway: the definitions that it needs, kgateway, and the Gateway inference-gateway.
# May be run again at any time: what is there is brought up to date or kept.
#
#   NAMESPACE=my-model ./install_gaie_crd_kgateway.sh
#
# NAMESPACE  namespace of the Gateway; made if it is missing (default: default)

set -euo pipefail

NAMESPACE="${NAMESPACE:-default}"

GATEWAY_API_VERSION=v1.4.1
INFERENCE_EXTENSION_VERSION=v1.2.1
KGATEWAY_VERSION=v2.1.1

GATEWAY_API=https://github.com/kubernetes-sigs/gateway-api/releases/download/${GATEWAY_API_VERSION}/standard-install.yaml
EXTENSION=https://github.com/kubernetes-sigs/gateway-api-inference-extension
INFERENCE_EXTENSION=${EXTENSION}/releases/download/${INFERENCE_EXTENSION_VERSION}/manifests.yaml
GATEWAY=${EXTENSION}/raw/${INFERENCE_EXTENSION_VERSION}/config/manifests/gateway/kgateway/gateway.yaml
KGATEWAY_CHARTS=oci://cr.kgateway.dev/kgateway-dev/charts
KGATEWAY_NAMESPACE=kgateway-system
# In full: other APIs have a kind Gateway, too.
GATEWAYS=gateways.gateway.networking.k8s.io

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

for tool in kubectl helm; do
  command -v "$tool" >/dev/null || fail "$tool is not on the PATH; install it and run this script again"
done

# Whether a version (v1.4.1) is newer than another. A release is newer than its candidates (v1.4.1-rc.1).
newer() { [[ "$1" != "$2" && "$(printf '%s\n%s\n' "${1/-/\~}" "${2/-/\~}" | sort -V | tail -n 1)" == "${1/-/\~}" ]]; }

# install_definitions WHAT VERSION URL CRD ANNOTATION: never takes the cluster back to an older version.
install_definitions() {
  local what=$1 version=$2 url=$3 crd=$4 annotation=$5 found
  step "$what $version"
  found=$(kubectl get crd "$crd" --ignore-not-found -o "jsonpath={.metadata.annotations.${annotation//./\\.}}")
  if [[ -n "$found" ]] && newer "$found" "$version"; then
    echo "kept: the cluster has $found, which is newer"
  else
    # On the server: some of them are too large for the annotation that a plain apply writes.
    kubectl apply --server-side -f "$url"
  fi
  kubectl wait --for=condition=Established "crd/$crd" --timeout=60s
}

install_definitions "Definitions of the Gateway API" "$GATEWAY_API_VERSION" "$GATEWAY_API" \
  httproutes.gateway.networking.k8s.io gateway.networking.k8s.io/bundle-version
install_definitions "Definitions of the inference extension" "$INFERENCE_EXTENSION_VERSION" "$INFERENCE_EXTENSION" \
  inferencepools.inference.networking.k8s.io inference.networking.k8s.io/bundle-version

step "kgateway $KGATEWAY_VERSION in namespace $KGATEWAY_NAMESPACE"
helm upgrade --install kgateway-crds "$KGATEWAY_CHARTS/kgateway-crds" --version "$KGATEWAY_VERSION" \
  --namespace "$KGATEWAY_NAMESPACE" --create-namespace
helm upgrade --install kgateway "$KGATEWAY_CHARTS/kgateway" --version "$KGATEWAY_VERSION" \
  --namespace "$KGATEWAY_NAMESPACE" --set inferenceExtension.enabled=true
kubectl rollout status deployment/kgateway --namespace "$KGATEWAY_NAMESPACE" --timeout=300s

step "Gateway inference-gateway in namespace $NAMESPACE"
if [[ -z "$(kubectl get namespace "$NAMESPACE" --ignore-not-found -o name)" ]]; then
  kubectl create namespace "$NAMESPACE"
fi
# The manifest names another class. It is applied only once: a second time the class would go there and back, and the
# gateway with it.
if [[ -z "$(kubectl get "$GATEWAYS" inference-gateway --namespace "$NAMESPACE" --ignore-not-found -o name)" ]]; then
  kubectl apply --namespace "$NAMESPACE" -f "$GATEWAY"
fi
kubectl patch "$GATEWAYS" inference-gateway --namespace "$NAMESPACE" --type merge \
  --patch '{"spec":{"gatewayClassName":"kgateway"}}'
if ! kubectl wait "$GATEWAYS/inference-gateway" --namespace "$NAMESPACE" --for=condition=Accepted --timeout=120s; then
  fail "kgateway did not accept the Gateway; see: kubectl describe $GATEWAYS inference-gateway --namespace $NAMESPACE"
fi
kubectl get "$GATEWAYS" inference-gateway --namespace "$NAMESPACE"

step "Done"
cat <<END
Without a load balancer the Gateway has no address; reach it by
  kubectl port-forward --namespace $NAMESPACE service/inference-gateway 8000:80
Next: a graph with an endpoint picker and its HTTPRoute (docs/guide/inference-gateway.md)
END
