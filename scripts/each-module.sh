#!/usr/bin/env bash
# Usage: scripts/each-module.sh [--with-tools] command [argument...]
# Runs the command in the directory of every module of the repository, the root module first.
# The module in tools/ has no packages: it is left out unless --with-tools is given.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

with_tools=
if [ "${1-}" = --with-tools ]; then
  with_tools=yes
  shift
fi

# A nested module may need a newer Go than the library does. It then runs under the Go it needs,
# which the go command fetches; where the running Go is new enough, it stays. Nobody's go.mod
# names such a module, so it says nothing about what the library needs.
running=$(go env GOVERSION)
case $running in
  go1.*) nested_toolchain=${running%% *}+auto ;;
  *) nested_toolchain=auto ;; # built from source, which has no release to name
esac

status=0
"$@" || status=1
while read -r mod; do
  dir=$(dirname "${mod#./}")
  if [ "$dir" = . ] || { [ "$dir" = tools ] && [ -z "$with_tools" ]; }; then
    continue
  fi
  echo "in module $dir:"
  (cd "$root/$dir" && GOTOOLCHAIN=$nested_toolchain "$@" </dev/null) || status=1
done < <(find . \( -path './.*' -o -name testdata \) -prune -o -name go.mod -print | sort)
exit $status
