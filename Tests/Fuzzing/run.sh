#!/usr/bin/env bash
# Coverage-guided fuzzing of the checkpoint readers with libFuzzer, which comes with the Swift toolchain.
#
#   Tests/Fuzzing/run.sh READER [RUNS] [SECONDS]     pickle zip safetensors gguf npy msgpack onnx, or all
#
# An input that traps, takes more than a second or more than 256 MiB stays in .fuzz/READER-crash-… (or -timeout-,
# -oom-). The corpus grows in .fuzz/corpus/READER and is kept between runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
reader=${1:?reader}
runs=${2:-1000000}
seconds=${3:-600}
out=.fuzz
mkdir -p $out/objects

# One module of the readers that need neither HDF5 nor images, with the driver; rebuilt where a source is newer.
sources=(Sources/Readers/Archives/{ArchiveError,Inflation,LittleEndianBytes,TarMembers,ZipArchive,ZipDirectory}.swift
  Sources/Readers/Files/{ByteInput,FileError,FileRegion,JSONScanner}.swift
  Sources/Readers/Datasets/TarHeader.swift
  $(find Sources/Readers/Weights -name '*.swift' | sort | grep -v -E '/(HDF5|Keras|Opaque|Checkpoint\.swift|CheckpointContent|JSONValue)')
  Tests/Fuzzing/FuzzReaders.swift)
if [[ ! -x $out/fuzz || -n $(find "${sources[@]}" Sources/Tensors -newer $out/fuzz -name '*.swift') ]]; then
  flags=(-O -swift-version 6 -parse-as-library -wmo -package-name tessera -sanitize=fuzzer
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature ExistentialAny -module-cache-path $out/objects/modules)
  swiftc "${flags[@]}" -module-name Tensors -emit-module -emit-module-path $out/objects/Tensors.swiftmodule \
    -c Sources/Tensors/*.swift -o $out/objects/Tensors.o
  # The readers use one function of this shim: a file in memory.
  mkdir -p $out/objects/CHDF5
  printf 'module CHDF5 { header "memory.h" export * }\n' >$out/objects/CHDF5/module.modulemap
  printf 'int chdf5_memory_file(void);\n' >$out/objects/CHDF5/memory.h
  printf '#define _GNU_SOURCE\n#include <sys/mman.h>\nint chdf5_memory_file(void) { return memfd_create("fuzz", MFD_CLOEXEC); }\n' \
    >$out/objects/memory.c
  clang -O2 -c $out/objects/memory.c -o $out/objects/memory.o
  swiftc "${flags[@]}" -module-name ReadersFuzzing -I $out/objects -I $out/objects/CHDF5 -I Sources/CZlib \
    "${sources[@]}" $out/objects/Tensors.o $out/objects/memory.o -lz -o $out/fuzz.new
  mv $out/fuzz.new $out/fuzz
fi

readers=$reader
[[ $reader == all ]] && readers="pickle zip safetensors gguf npy msgpack onnx"
for reader in $readers; do
  corpus=$out/corpus/$reader
  mkdir -p $corpus
  [[ -d $out/seeds/$reader ]] || ${PYTHON:-python3} Tests/Fuzzing/seeds.py $out/seeds
  echo "== $reader"
  FUZZ_READER=$reader nice -n 19 $out/fuzz $corpus $out/seeds/$reader -runs=$runs -max_total_time=$seconds -max_len=16384 \
    -timeout=1 -rss_limit_mb=256 -malloc_limit_mb=256 -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix=$out/$reader- 2>&1 | tee $out/$reader.log | grep -E 'ERROR|SUMMARY|stat::|Fatal' || true
done
