#!/usr/bin/env bash
# Usage: scripts/evidence.sh
# Runs every test at full size. What the tests measure goes to docs/evidence: see
# internal/evidence. Without the race detector, whose slowness would shrink what fits, but for
# the one test whose full size is wanted with it.
set -euo pipefail
cd "$(dirname "$0")/.."
export KEYSTILE_EVIDENCE=1
scripts/each-module.sh go test -count=1 -timeout 80m ./...
go test -race -count=1 -timeout 40m -run '^TestNoRevokedKeyIsResurrected$' ./apikey
