#!/usr/bin/env bash
# Usage: scripts/bench.sh
# Runs the benchmarks of the packages that have any, in the root module.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$(scripts/list.sh Benchmark | cut -d' ' -f1 | sort -u)
if [ -z "$packages" ]; then
  echo "no benchmarks"
  exit 0
fi
# shellcheck disable=SC2086 # one word a package
go test -run '^$' -bench . -benchmem $packages
