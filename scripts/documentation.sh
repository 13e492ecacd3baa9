#!/usr/bin/env bash
# documentation.sh BUILD OUTPUT: makes the documentation of the library Tessera from what BUILD (such as
# .build-test/release) has compiled; fails at any warning.
set -euo pipefail
build=$1 out=$2
graphs=$(mktemp -d); trap 'rm -rf "$graphs"' EXIT
# shellcheck disable=SC2207
maps=($(pkg-config --cflags-only-I hdf5-serial | sed 's/-I/-Xcc -I/g'))
for map in "$PWD"/Sources/*/module.modulemap "$build"/C*.build/module.modulemap; do
  maps+=(-Xcc "-fmodule-map-file=$map")
done
for module in Tessera TesseraCore TesseraImages TesseraSequences TesseraCheckpoints TesseraTokenizers TesseraDatasets \
  TesseraRules; do
  swift-symbolgraph-extract -module-name "$module" -I "$build/Modules" "${maps[@]}" -target "$(uname -m)-unknown-linux-gnu" \
    -minimum-access-level public -output-dir "$graphs"
done
docc convert Sources/Tessera/Tessera.docc --additional-symbol-graph-dir "$graphs" --output-path "$out" \
  --fallback-display-name Tessera --fallback-bundle-identifier Tessera --warnings-as-errors
