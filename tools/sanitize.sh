#!/bin/sh
# tools/sanitize.sh asan|tsan [unit test program…] [tests/…]: the unit tests, or end-to-end tests, with every program of ours sanitized.
#
#   tools/sanitize.sh asan                              every unit test program: addresses, leaks, undefined behaviour
#   tools/sanitize.sh tsan api_test network_test        these, for data races
#   tools/sanitize.sh asan tests/e2e/test_api.py -k df  pytest's arguments, as tests/run takes them
#
# Every process writes bad addresses, leaks and races to a file of its own in build/PRESET/reports, so that no test swallows them. Undefined
# behaviour is told on standard error and ends the process with status 1: what of it reaches the tests' output becomes a report, too.
# Any report fails the run. The last line is "N passed, N failed, N reports". What is sanitized is slow: tests/ wait five times as long
# (BRYO_TEST_PATIENCE). GTEST_FILTER and GTEST_REPEAT reach the unit tests. Reports of the run before are removed.
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here" || exit 2
preset=$1
case $preset in
  asan) launch="" ;;
  tsan) launch="setarch -R" ;;  # its shadow memory has fixed places, which a randomized program may occupy
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
shift
. tools/apt.sh
apt_need build run test || exit 1
cmake --preset "$preset" >/dev/null || exit 1
case ${1:-} in
  "") targets=all ;;
  tests/*) targets=$(ninja -C "build/$preset" -t targets all | sed -n 's/^\(bin\/[a-z-]*\): .*/\1/p') ;;  # what is no test of its own
  *) targets=$* ;;
esac
# shellcheck disable=SC2086
nice ninja -C "build/$preset" $targets || exit 1

build=$here/build/$preset
reports=$build/reports
as_root rm -rf "$reports"
mkdir -p "$reports"
chmod 1777 "$reports"  # rootless engines report, too
where=log_path=$reports/report:log_exe_name=1

passed=0 failed=0
one() {
  # shellcheck disable=SC2086
  if as_root env BRYO_BIN_DIR="$build/bin" BRYO_TEST_PATIENCE="${BRYO_TEST_PATIENCE:-5}" ${GTEST_FILTER:+"GTEST_FILTER=$GTEST_FILTER"} \
    ${GTEST_REPEAT:+"GTEST_REPEAT=$GTEST_REPEAT"} TSAN_OPTIONS="$where:second_deadlock_stack=1:die_after_fork=0:suppressions=$here/tools/tsan.supp" UBSAN_OPTIONS="$where:print_stacktrace=1:halt_on_error=1" \
    ASAN_OPTIONS="$where:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1" \
    $launch tests/run "$@" >"$build/run.log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -100 "$build/run.log"
  fi
  grep -aq '[0-9]: runtime error: ' "$build/run.log" && cp "$build/run.log" "$reports/undefined.$passed.$failed"
}
case ${1:-} in
  tests/*) one "$@" ;;
  *)
    [ $# -gt 0 ] || set -- $(cd "$build/bin" && echo *_test)
    for program; do
      echo "== $program"
      one -- "$build/bin/$program"
    done
    ;;
esac
for report in "$reports"/*; do [ -e "$report" ] && echo "== $report" && head -40 "$report"; done
found=$(ls "$reports" | wc -l)
echo "$passed passed, $failed failed, $found reports"
[ "$failed" -eq 0 ] && [ "$found" -eq 0 ]
