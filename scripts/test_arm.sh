#!/usr/bin/env bash
# Compares the bits of every C kernel on Arm (compiled by clang, run by qemu-user) with those of each instruction
# set of this machine, on odd shapes.
#
#   scripts/test_arm.sh        needs qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross and clang with lld
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
clang=$(command -v clang || dirname "$(readlink -f "$(command -v swift)")")
[ -d "$clang" ] && clang=$clang/clang
flags=(-std=c17 -O2 -Wall -Wextra -Werror -ISources/CKernels/include)

"$clang" "${flags[@]}" Tests/Kernels/bits.c Sources/CKernels/*.c -lm -o "$folder/native"
"$clang" --target=aarch64-linux-gnu -fuse-ld=lld -static "${flags[@]}" \
  Tests/Kernels/bits.c Sources/CKernels/*.c -lm -o "$folder/arm"
qemu-aarch64 "$folder/arm" 0 >"$folder/arm.txt"
for isa in 0 1 2; do
  "$folder/native" $isa >"$folder/native.txt" || { echo "instruction set $isa: not on this processor"; continue; }
  diff "$folder/native.txt" "$folder/arm.txt" || { echo "instruction set $isa and Arm differ" >&2; exit 1; }
  echo "instruction set $isa: the same bits as Arm on $(wc -l <"$folder/arm.txt") outputs"
done
