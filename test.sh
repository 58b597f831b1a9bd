#!/bin/sh
# ./test.sh: build everything and run every test and check. The last line is "N passed, N failed, N skipped".
#
#   ./test.sh                       all of it (root, or an ordinary user with sudo)
#   ./test.sh tests/e2e -k cp       only these pytest tests, no unit tests and no checks
#
# One door: what continuous integration runs is this file. Takes no input. Reports land in build/reports/.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here" || exit 2
. tools/apt.sh
apt_need build run test vm || exit 1
reports=build/reports
as_root rm -rf "$reports"
mkdir -p "$reports/gtest" "$reports/checks"

say() { printf '== %s\n' "$*"; }

say "build"
if ! { cmake --preset release >"$reports/cmake.log" 2>&1 && nice ninja -C build/release >"$reports/ninja.log" 2>&1; }; then
  tail -40 "$reports/cmake.log" "$reports/ninja.log" 2>/dev/null
  echo "the build failed: $reports/cmake.log and $reports/ninja.log"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi

if [ $# -eq 0 ]; then
  say "checks"
  for check in tools/check_*.py; do
    name=$(basename "$check" .py)
    if /usr/bin/python3 "$check" >"$reports/checks/$name.log" 2>&1; then
      echo pass >"$reports/checks/$name.result"
    else
      echo fail >"$reports/checks/$name.result"
      sed "s/^/$name: /" "$reports/checks/$name.log"
    fi
  done
  say "unit tests"
  # In the private test host: no unit test may see or change the machine's network, mounts, cgroups or /etc.
  tests/run -- env GTEST_OUTPUT="json:$here/$reports/gtest/" \
    ctest --test-dir build/release --output-on-failure --timeout 300 --output-junit "$here/$reports/ctest.xml"
fi

say "end to end"
[ $# -gt 0 ] || /usr/bin/python3 -m tests.conformance.runtime_tools
tests/run --junitxml="$reports/pytest.xml" "$@"
echo $? >"$reports/pytest.status"

if [ $# -eq 0 ]; then
  say "end to end, the same tests without root"
  # Not those that start engines without root by themselves.
  tests/run --engine=rootless --clients=current --junitxml="$reports/pytest-rootless.xml" tests/e2e \
    --ignore=tests/e2e/test_rootless.py --ignore=tests/e2e/test_rootless_life.py --ignore=tests/e2e/test_bryod_inside.py --ignore-glob='*/test_bryo_rootless*.py' --ignore-glob='*/test_doctor*.py' --ignore-glob='*/test_setup*.py' \
    --ignore-glob='*/test_bypass*.py' --ignore-glob='*/test_package*.py'
  echo $? >"$reports/pytest-rootless.status"
fi

/usr/bin/python3 tools/summary.py "$reports"
