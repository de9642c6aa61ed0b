#!/usr/bin/env bash
# Usage: scripts/scratch.sh newest|floor [package...]
# Runs the tests in a copy of the tree, which is removed afterwards.
#   newest  every dependency at its newest release, on the newest Go; NEWEST_GO names another
#   floor   as it is, on the oldest Go that go.mod allows; the root module only, since that
#           promise is made to those who import the library
# Both toolchains are modules: the go command fetches them as it fetches dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1-}
shift || true
case $which in
  newest) toolchain=${NEWEST_GO:-go1.27.4} ;;
  floor) toolchain=go$(go list -m -f '{{.GoVersion}}') ;;
  *) echo "usage: scripts/scratch.sh newest|floor [package...]" >&2; exit 2 ;;
esac

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -cf - --exclude=./.git --exclude=./.scratch . | tar -xf - -C "$copy"
cd "$copy"
export GOTOOLCHAIN=$toolchain GOWORK=off
go version

if [ "$which" = floor ]; then
  go test "${@:-./...}"
elif [ $# -gt 0 ]; then
  scripts/upgrade.sh
  go test "$@"
else
  scripts/each-module.sh "$copy/scripts/upgrade.sh"
  scripts/each-module.sh go test ./...
fi
