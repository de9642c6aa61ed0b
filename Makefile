# `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# A go.work of your own must not change what is checked.
export GOWORK := off

FUZZTIME ?= 10s
GO_FILES = find . -path './.*' -prune -o -name '*.go' -print

# tools/go.mod says why the toolchain is not the one that everything else runs on.
STATICCHECK = env GOTOOLCHAIN=auto go tool -modfile=$(CURDIR)/tools/go.mod staticcheck

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: ci
ci: check test ## what must pass before a change is merged

.PHONY: check
check: ## formatting, vet, staticcheck, tidy go.mod files, layers, what a consumer gets
	@unformatted=$$($(GO_FILES) | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run make fmt:\n%s\n' "$$unformatted"; exit 1; fi
	scripts/each-module.sh go vet ./...
	scripts/each-module.sh $(STATICCHECK) ./...
	scripts/each-module.sh --with-tools go mod tidy -diff
	go test -count=1 ./internal/layers ./internal/consumer

.PHONY: test
test: ## every test of every module, with the race detector, in random order
	KEYSTILE_REQUIRE_SERVERS=1 scripts/each-module.sh go test -race -shuffle=on ./...

.PHONY: fmt
fmt: ## format the Go files
	$(GO_FILES) | xargs gofmt -w

.PHONY: newest
newest: ## the tests in a copy, with the newest Go and the newest dependencies
	scripts/scratch.sh newest

.PHONY: floor
floor: ## the tests in a copy, on the oldest Go that go.mod allows
	scripts/scratch.sh floor

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (default 10s)
	FUZZTIME=$(FUZZTIME) scripts/each-module.sh $(CURDIR)/scripts/fuzz.sh

.PHONY: bench
bench: ## the benchmarks of the root module
	scripts/bench.sh

.PHONY: evidence
evidence: ## every test at full size; results go to docs/evidence
	scripts/evidence.sh
