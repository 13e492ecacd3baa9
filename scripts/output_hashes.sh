#!/usr/bin/env bash
# The sha256 of every file that the program writes for the fixtures, to compare two builds of it:
#   scripts/output_hashes.sh .build/release/tessera > after.txt; diff before.txt after.txt
# Datasets in all layouts with captions, positions and packs; every fixture of weights to every checkpoint format; files of numbers;
# also the exit code and the words of each run, since a refusal is a result, too. The version is left out.
set -uo pipefail
tessera=$(readlink -f "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$root/fixtures" fixtures

run() { # run NAME ARGUMENT…: the program's exit code and both streams in NAME.said
  local name=$1; shift
  "$tessera" "$@" --quiet > "$name.said" 2>&1 || echo "exit $?" >> "$name.said"
}

run tokenize tokenize fixtures/photos -o dataset --captions sidecar
run mrope tokenize fixtures/photos -o mrope --positions mrope --shard-samples 3
run prepare prepare fixtures/photos -o prepared --resize lanczos:short=64 --crop center:64x64
run prepare-npy prepare fixtures/photos -o prepared-npy --as npy --orientation apply
run decode decode dataset -o decoded --originals fixtures/photos
for format in $(sed -n '/^| `--format`/,/^$/s/^| `\([a-z0-9]*\)` .*/\1/p' "$root/docs/DATASETS.md"); do
  run "export-$format" export dataset -o "export-$format" --format "$format"
  run "packed-$format" export dataset -o "packed-$format" --format "$format" --sequence chameleon --pack best-fit --length 2048 \
    --text none
  run "inspect-$format" inspect "export-$format" --json
done
find fixtures/weights -type f | LC_ALL=C sort | while read -r file; do
  name=$(echo "${file#fixtures/weights/}" | tr '/.' '__')
  run "inspect-$name" inspect "$file" --json
  for format in safetensors npz h5 pt gguf torch; do
    case $format in safetensors | torch) ending=safetensors ;; *) ending=$format ;; esac
    run "$name-$format" convert "$file" -o "$name-$format.$ending" --to "$format"
  done
done
for measure in legs legt lmu fout lagt s4d-lin s4d-inv s4d-legs s4d-real; do
  run "hippo-$measure" ssm hippo --measure "$measure" --order 16 -o "hippo-$measure.safetensors"
  run "bar-$measure" ssm discretize "hippo-$measure.safetensors" --method bilinear --dt 0.01 -o "bar-$measure.safetensors"
  run "kernel-$measure" ssm kernel "hippo-$measure.safetensors" --method zoh --dt 0.01 --length 256 -o "kernel-$measure.npy"
done
printf '{"text": 4}\n{"image": [3, 5]}\n{"text": 2}\n' > segments.jsonl
for scheme in rope1d rope2d tie tie-fractional tv mrope mrope-time mrope-frame v2pe; do
  run "positions-$scheme" positions segments.jsonl --scheme "$scheme" -o "positions-$scheme.npy"
done
run grid grid fixtures/photos --json
run tokenizers tokenizers --json
run recipes recipes --json
rm fixtures
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
