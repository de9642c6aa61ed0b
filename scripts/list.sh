#!/usr/bin/env bash
# Usage: scripts/list.sh Fuzz|Benchmark
# Prints a line "package name" for each fuzz target or benchmark of the module in this directory.
set -euo pipefail
if ! listing=$(go test -list "^$1" ./...); then
  echo "$listing" >&2
  exit 1
fi
awk -v prefix="$1" '
  index($1, prefix) == 1 { names[++n] = $1; next }
  $1 == "ok"             { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }
' <<<"$listing"
