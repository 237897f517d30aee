# One entry point for people and CI; `make` alone lists the targets. The work is in `devkit` (crates/devkit).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools cluster cluster-down images demo lint test-unit test-api test-chart test-node test bench

DEVKIT := cargo run --quiet --package dynamo-devkit --
CACHE := $(or $(DYNAMO_CACHE_DIR),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/dynamo-platform),$(HOME)/.cache/dynamo-platform)
export PATH := $(CACHE)/tools/bin:$(PATH)

# Test programs by layer, told by name: api* on a control plane, node* on a real node, charts with Helm, the rest alone.
TEST_PROGRAMS := $(basename $(notdir $(wildcard crates/*/tests/*.rs))) \
	$(notdir $(patsubst %/main.rs,%,$(wildcard crates/*/tests/*/main.rs)))
UNIT_PROGRAMS := $(sort $(filter-out api api_% node node_% charts,$(TEST_PROGRAMS)))
LAYERS := lint test-unit test-api test-chart test-node

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

tools: ## build the pinned tools into the cache (once)
	@$(DEVKIT) tools

cluster: ## bring up a single-node Kubernetes on this machine (root)
	@$(DEVKIT) cluster up

cluster-down: ## take it away and undo every change of the machine
	@$(DEVKIT) cluster down

images: ## build the two container images and load them into the cluster
	@$(DEVKIT) images build
	@$(DEVKIT) images load

demo: ## the main job: cluster, images, charts, a graph, a chat completion through it
	@$(DEVKIT) demo $(DEMO_ARGS)

lint: ## formatting, lints, dependency policy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@$(DEVKIT) tools cargo-deny >/dev/null
	cargo deny --log-level error check bans licenses sources

test-unit: ## pure tests and golden files
	cargo test --workspace --no-fail-fast --lib --bins $(addprefix --test ,$(UNIT_PROGRAMS))

test-api: ## tests on a real API server, etcd, NATS server and Prometheus
	@$(DEVKIT) tools kubernetes etcd nats prometheus >/dev/null
	cargo test --workspace --no-fail-fast --test 'api' --test 'api_*'

test-chart: ## tests of the Helm charts, some on a real API server, and of dashboards and alerts
	@$(DEVKIT) tools helm kubernetes etcd nats prometheus prometheus-operator kubeconform >/dev/null
	cargo test --workspace --no-fail-fast --test charts

test-node: ## tests with real pods on the cluster of this machine (root)
	@if [ "$$(id -u)" -ne 0 ]; then \
		echo "SKIPPED test-node: it needs root, for mounts, network devices and control groups"; \
		if [ "$${CI:-}" = true ]; then echo "test-node must run in CI" >&2; exit 1; fi; \
		exit 0; \
	fi; \
	unset KUBECONFIG; \
	trap '$(DEVKIT) cluster down' EXIT; \
	cargo test --workspace --no-fail-fast --test 'node_*' -- --include-ignored --test-threads=1

bench: ## figures of speed, each beside a baseline of the same run
	cargo bench --package dynamo-operator --bench admission
	cargo bench --package dynamo-cli --bench offline

# Each layer announces itself, and a failed one does not hide what the others would say; the last lines sum it up.
test: ## everything that must hold, fastest layer first
	@log=$$(mktemp); started=$$SECONDS; \
	total() { awk '/^test result:/ {for (i = 2; i < NF; i++) {if ($$(i+1) ~ /^passed/) p += $$i; if ($$(i+1) ~ /^failed/) f += $$i; \
		if ($$(i+1) ~ /^ignored/) s += $$i}} /^SKIPPED / {s++} END {printf "%d passed, %d failed, %d skipped\n", p, f, s}' $$log; rm -f $$log; }; \
	trap total EXIT; \
	failed=; \
	for layer in $(LAYERS); do \
		echo "== $$layer (after $$((SECONDS - started)) s)"; \
		$(MAKE) --no-print-directory $$layer 2>&1 | tee -a $$log || { echo "== $$layer FAILED"; failed="$$failed $$layer"; }; \
	done; \
	if [ -n "$$failed" ]; then echo "== failed:$$failed, after $$((SECONDS - started)) s"; exit 1; fi; \
	echo "== all layers passed after $$((SECONDS - started)) s"
