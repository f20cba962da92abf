# What can be done here. `make help` lists it; CI runs the same targets.
# Needed: git, make, bash, Go and, for the tests, PostgreSQL and PgBouncer (`make services`). Every other tool is pinned in tools/go.mod
# and built at its first use.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# For flags: make test GOTEST_FLAGS=-v, make bench BENCH=Submit
GO ?= go
BENCH ?= .
export GO

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/armada and bin/armadactl.
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: demo
demo: build ## Build, start everything in one process and run an example job set before your eyes.
	@scripts/demo.sh

.PHONY: test
test: ## Run every check: generated files, lint, vet, tests with the race detector, e2e, short benchmarks.
	@scripts/test.sh

.PHONY: unit
unit: ## Run the tests of all packages but test/, without the race detector: the quick look.
	@scripts/unit.sh $(GOTEST_FLAGS)

.PHONY: race
race: ## Run the tests of all packages but test/, with the race detector where there is a C compiler.
	@scripts/race.sh $(GOTEST_FLAGS)

.PHONY: e2e
e2e: build ## Run the tests in test/: the house rules, and what needs the built binaries.
	ARMADA_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 15m $(GOTEST_FLAGS) $$($(GO) list ./test/... | grep -v '^armada/test/kube/node')

.PHONY: node
node: build ## Run the tests on a real Kubernetes node, whose pods truly run. Root on Linux; after make services kube.
	ARMADA_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 15m $(GOTEST_FLAGS) ./test/kube/node/...

.PHONY: node-up
node-up: ## Make that node for yourself to try things on, until Ctrl-C. Root on Linux; after make services kube.
	$(GO) run ./test/kube/node/up

.PHONY: groups
groups: ## Run the tests of the process runtime on a kernel with control groups of version 2 alone (user-mode Linux).
	@scripts/groups.sh $(GOTEST_FLAGS)

.PHONY: vet
vet: ## Run go vet.
	$(GO) vet ./...

.PHONY: lint
lint: bin/tools/golangci-lint ## Run the linters and the import rules (.golangci.yml).
	bin/tools/golangci-lint run ./...

.PHONY: vulncheck
vulncheck: bin/tools/govulncheck ## Look for known vulnerabilities in what the binaries are made of (VULNDB=latest: also in the newest list).
	@scripts/vulncheck.sh

.PHONY: fmt
fmt: bin/tools/golangci-lint ## Format all Go files as the linters want them.
	bin/tools/golangci-lint fmt ./...

.PHONY: generate
generate: ## Write all generated files anew: pkg/api, and whatever has a go:generate line.
	@scripts/generate.sh

.PHONY: generate-check
generate-check: ## Fail if a generated file is not what its source generates.
	@scripts/generate-check.sh

.PHONY: bench
bench: build ## Run the benchmarks, several times each (BENCH=regexp picks some).
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count=5 -timeout 60m -p 1 ./...

.PHONY: bench-short
bench-short: build ## Run every benchmark once, small: it shows that they run, not how fast.
	$(GO) test -short -run '^$$' -bench . -benchtime 1x -timeout 10m -p 1 ./...

.PHONY: services
services: ## Make sure that what tests start for themselves is here (PostgreSQL, PgBouncer, Kerberos, containerd, user-mode Linux); root on Debian installs it.
	@scripts/postgres.sh
	@scripts/kerberos.sh
	@scripts/containers.sh
	@scripts/groups.sh install

.PHONY: kube
kube: ## Build etcd and the programs of Kubernetes into bin/kube, which the tests of pods start.
	@test/kube/build.sh bin/kube etcd kube-apiserver kube-controller-manager kube-scheduler kubelet

.PHONY: tools
tools: bin/tools/golangci-lint ## Build the linter, as pinned in tools/go.mod, into bin/tools.

.PHONY: clean
clean: ## Delete what was built. Data folders stay.
	rm -rf bin

bin/tools/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/tools/govulncheck: PACKAGE := golang.org/x/vuln/cmd/govulncheck
bin/tools/golangci-lint bin/tools/govulncheck: tools/go.mod tools/go.sum
	@mkdir -p bin/tools
	cd tools && $(GO) build -o ../$@ $(PACKAGE)
	@touch $@
