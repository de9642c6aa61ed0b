#!/usr/bin/env bash
# Usage: FUZZTIME=10s scripts/fuzz.sh
# Runs each fuzz target of the module in this directory for FUZZTIME.
set -euo pipefail
targets=$("$(dirname "$0")/list.sh" Fuzz)
if [ -z "$targets" ]; then
  echo "no fuzz targets"
fi
while read -r package name; do
  [ -n "$name" ] || continue
  echo "$package $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$package" </dev/null
done <<<"$targets"
