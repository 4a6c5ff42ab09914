# Daymark: what there is to run. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-property test-lab bench kubelab tools generate lint features clean

CARGO ?= cargo
# What tests and released builds have that `make demo` does without: AWS's SDK takes minutes to build.
AWS = daymark-controller/aws,daymark/aws,daymark-aws/sdk
# Property tests: how many random sequences `make test` runs.
PROPERTY_CASES ?= 100000
CLOUD_SCHEDULES ?= 10000

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

tools: ## install the Debian packages, kubectl, helm and moto that the lab needs (as root)
	@tests/setup/install.sh

kubelab: ## build the Kubernetes control plane for the lab (target/kubelab)
	@tests/setup/kubelab.sh

demo: tools kubelab ## show Daymark at work in a lab on this machine; KEEP=1 leaves it up
	$(CARGO) build --locked -p daymark-controller -p daymark-speaker
	$(CARGO) build --locked -p daymark-tests --features demo --bins
	@$(CARGO) run --quiet --locked -p daymark-tests --features demo --bin demo

test: tools kubelab test-unit test-property test-lab ## everything that CI runs; installs what it needs

test-unit: ## what needs neither root nor a lab, and that generated files are what the code says
	$(CARGO) test --locked --workspace --features $(AWS)
	$(CARGO) build --quiet --locked --workspace --features $(AWS) --bin crdgen
	$${CARGO_TARGET_DIR:-target}/debug/crdgen --check

features: # what test-unit and test-lab build with
	@echo $(AWS)

test-property: ## the long property tests: of the assignment core, and of load balancers in a cloud that fails
	DAYMARK_PROPERTY_CASES=$(PROPERTY_CASES) $(CARGO) test --locked --release -p daymark-pool --test '*'
	DAYMARK_CLOUD_SCHEDULES=$(CLOUD_SCHEDULES) $(CARGO) test --locked --release -p daymark-aws --test simulation

test-lab: tools kubelab ## real API server, routers and packets, in network namespaces (as root)
	@tests/run.sh

bench: tools kubelab ## the measurements; ONLY=name runs one; results in target/bench/results.jsonl
	@tests/bench.sh $(ONLY)

generate: ## write what is generated from code: deploy/crds
	$(CARGO) run --quiet --locked -p daymark-config --bin crdgen

lint: ## formatting, clippy without warnings, licences, bans and sources
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; \
	else echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; fi

clean: ## remove what was built, and what a crashed lab left behind
	@tests/run.sh --sweep
	rm -rf target
