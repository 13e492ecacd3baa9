#!/usr/bin/env bash
# Coverage-guided fuzzing with libFuzzer, which comes with the Swift toolchain, under AddressSanitizer.
#
#   Tests/Fuzzing/run.sh TARGET [RUNS] [SECONDS]     run.sh list names the targets; all runs one after the other
#   Tests/Fuzzing/run.sh keep TARGET                 makes the smallest corpus that reaches the same, and keeps it
#
# An input that traps, breaks a rule of FuzzTarget, takes more than 5 seconds or more than 512 MiB stays in
# .fuzz/found/TARGET-… . The corpus grows in .fuzz/corpus/TARGET, from what Tests/Fuzzing/corpus keeps and from seeds.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=.build-fuzz
python=${PYTHON:-python3}
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0:malloc_context_size=2:quarantine_size_mb=32:allocator_may_return_null=1:handle_segv=1:detect_stack_use_after_return=0

make_program() {
  local runtime
  runtime=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/clang
  runtime=$(find "$runtime"/ -name 'libclang_rt.fuzzer_no_main*' -path "*$(uname -m)*" | head -n 1)
  TESSERA_FUZZING=1 swift build -c release --product fuzz --sanitize=address --scratch-path $build \
    -Xlinker "$runtime" -Xlinker -lstdc++
}

# Removes the folders that ended runs left in memory; where $1 is given, their HDF5 files are kept under that name.
sweep() {
  local folder process
  for folder in /dev/shm/tessera-fuzz-*; do
    process=${folder#/dev/shm/tessera-fuzz-}
    [[ -d $folder ]] && ! kill -0 "${process%%-*}" 2>/dev/null || continue
    [[ ${1:-} ]] && find "$folder" -name '*.[hk]*' -type f -exec cp {} "$1-$(date +%s%N)" \;
    rm -r "$folder"
  done
}

# libhdf5 crashes on some damaged files, which ends the process with exit code 3 (CHDF5/crash.c): not a finding
# of ours. Such inputs are counted and put aside, and the run goes on.
run_target() {
  local target=$1 rest=$2 end=$((SECONDS + $3)) crashes=0 findings=0 code=0 done=0
  local limit=24576
  case $target in hdf5 | keras | dataset-hdf5) limit=163840 ;; esac
  mkdir -p .fuzz/corpus/"$target" .fuzz/found .fuzz/library-crashes .fuzz/seeds/"$target"
  "$python" Tests/Fuzzing/corpus.py unpack "$target" .fuzz/corpus/"$target"
  sweep
  while ((rest > 0 && SECONDS < end)); do
    code=0
    FUZZ_TARGET=$target nice -n 19 $build/release/fuzz .fuzz/corpus/"$target" .fuzz/seeds/"$target" -runs="$rest" \
      -max_total_time=$((end - SECONDS)) -max_len=$limit -timeout=25 -report_slow_units=4 -rss_limit_mb=1024 -malloc_limit_mb=512 \
      -use_value_profile=1 -print_final_stats=1 -artifact_prefix=.fuzz/found/"$target"- \
      >.fuzz/"$target".log 2>&1 || code=$?
    done=$(grep -aoE '^#[0-9]+' .fuzz/"$target".log | tail -n 1 | tr -d '#')
    [[ $code == 0 ]] && done=$(grep -aoE 'number_of_executed_units: [0-9]+' .fuzz/"$target".log | grep -oE '[0-9]+')
    echo "$target executions ${done:-0} exit $code" >>.fuzz/executions
    rest=$((rest - ${done:-0}))
    if [[ $code == 3 ]]; then
      crashes=$((crashes + 1))
      sweep .fuzz/library-crashes/"$target"
      # Nothing was counted where the first inputs crash.
      ((${done:-0} > 0)) || rest=$((rest - 1))
      continue
    fi
    # Or the sanitizer sees it first, in a call of the library's.
    if [[ $code != 0 ]] && grep -aqE '^ +#[0-4] .*libhdf5' .fuzz/"$target".log; then
      crashes=$((crashes + 1))
      mv .fuzz/found/"$target"-crash-* .fuzz/library-crashes/
      continue
    fi
    if [[ $code != 0 ]]; then
      # The first of many is enough to see; the others may have other causes.
      findings=$((findings + 1))
      grep -aE 'FINDING|ERROR|SUMMARY|Fatal|/main/Sources/' .fuzz/"$target".log | head -n 6
      ((findings < 12)) || break
    fi
  done
  echo "$target: $(($2 - rest)) executions, $findings findings, $crashes crashes inside libhdf5"
}

case ${1:?TARGET, all, list or keep} in
  list) make_program >&2 && $build/release/fuzz ;;
  keep)
    target=${2:?TARGET}
    rm -rf .fuzz/minimal/"$target" && mkdir -p .fuzz/minimal/"$target"
    FUZZ_TARGET=$target nice $build/release/fuzz -merge=1 -max_len=163840 -timeout=5 -rss_limit_mb=2048 .fuzz/minimal/"$target" \
      .fuzz/seeds/"$target" .fuzz/corpus/"$target" 2>&1 | tail -n 2
    # What was found stays.
    find .fuzz/found -name "$target-crash-*" -exec cp {} .fuzz/minimal/"$target" \;
    "$python" Tests/Fuzzing/corpus.py pack "$target" .fuzz/minimal/"$target" .fuzz/seeds/"$target"
    ;;
  *)
    [[ ${TESSERA_FUZZING_BUILT:-} ]] || make_program
    [[ -d .fuzz/seeds ]] || "$python" Tests/Fuzzing/seeds.py .fuzz/seeds
    targets=$1
    [[ $1 == all ]] && targets=$($build/release/fuzz)
    for target in $targets; do run_target "$target" "${2:-1000000}" "${3:-3600}"; done
    ;;
esac
