#!/usr/bin/env bash
# Usage: scripts/upgrade.sh
# Upgrades every dependency of the module in this directory.
set -euo pipefail

if [ "$(go list -m)" = github.com/keystile/keystile ]; then
  go get -u -t ./...
else
  # In a nested module, -u would also look for a release of the library, which is replaced by
  # the tree around it and may have none.
  go mod tidy
  modules=$(go list -deps -test -f '{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}@upgrade{{end}}{{end}}' ./... | sort -u)
  # shellcheck disable=SC2086 # one word a module
  [ -z "$modules" ] || go get $modules
fi
go mod tidy
