"""The checks of tools/ can fail: each finds what it is there to find, and nothing else."""

import importlib.util
import subprocess

import pytest

from tests.support.daemon import REPO


def load(name):
    spec = importlib.util.spec_from_file_location(name, REPO / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("file,include,allowed", [
    ("src/kernel/a.cpp", "base/error.hpp", True), ("src/base/a.cpp", "kernel/paths.hpp", False), ("src/api/a.cpp", "engine/engine.hpp", True),
    ("src/engine/a.cpp", "api/http.hpp", False), ("src/cli/a.cpp", "engine/engine.hpp", False), ("src/cli/a.cpp", "api/types.hpp", True),
    ("src/storage/a.cpp", "network/network.hpp", False), ("src/images/a.cpp", "storage/store.hpp", True), ("src/runtime/a.cpp", "monitor/hub.hpp", False),
    ("src/kernel/a.cpp", "boost/asio.hpp", True), ("src/strange/a.cpp", "base/error.hpp", False),
])
def test_include_direction(tmp, file, include, allowed):
    root = tree(tmp, {file: f'#include "{include}"\n'})
    assert (load("check_includes").violations(root) == []) == allowed


@pytest.mark.parametrize("code,found", [
    ("int f() { return ::open(p, O_RDONLY); }", ["open"]), ("auto x = mkdir(path.c_str(), 0700);", ["mkdir"]), ("std::filesystem::remove(p);", ["std::filesystem"]),
    ("file.open(p); file->open(p); kernel::open(p);", []), ("UniqueFd open(std::string_view name);", []), ("// ::open(p)\nauto s = \"chmod(p)\";", []),
    ('auto fd = ::open("/dev/null", O_RDWR);', []), ("return rename(a, b);", ["rename"]), ("::mount(nullptr, p, nullptr, 0, nullptr);", ["mount"]),
    ("openat(fd, name, O_NOFOLLOW);", []),
])
def test_raw_calls(code, found):
    assert [call for _, call in load("check_calls").calls(code)] == found


def test_raw_calls_that_are_allowed_need_a_reason_and_a_use(tmp):
    root = tree(tmp, {"src/storage/a.cpp": "void f() { ::open(p, 0); }\n", "tools/raw_calls.allow": "src/storage/a.cpp open why not\n"})
    check = load("check_calls")
    assert check.violations(root) == []
    tree(tmp, {"src/storage/a.cpp": "\n"})
    assert len(check.violations(root)) == 1, "a line that allows nothing any more"
    tree(tmp, {"tools/raw_calls.allow": "src/storage/a.cpp open\n"})
    with pytest.raises(SystemExit):
        check.violations(root)


@pytest.mark.parametrize("code,found", [
    ("#include <unistd.h>\nvoid f() { _exit(1); }", False), ("#include <cstdlib>\nvoid* f() { return malloc(7); }", True),
    ("#include <string>\nstd::string f(const char* p) { return std::string(p) + p; }", True), ("int* f() { return new int[9]; }", True),
    ("void f() { throw 1; }", True), ("#include <pwd.h>\npasswd* f() { return getpwuid(0); }", True), ("#include <cstdio>\nvoid f(int i) { printf(\"%d\", i); }", True),
    ("#include <mutex>\nvoid f(std::mutex& m) { m.lock(); }", True), ("int g(); int f() { static int x = g(); return x; }", True),
])
def test_forbidden_symbols(tmp, code, found):
    (tmp / "child.cpp").write_text(code)
    subprocess.run(["g++", "-std=c++20", "-O2", "-c", tmp / "child.cpp", "-o", tmp / "child.o"], check=True)
    assert bool(list(load("check_symbols").violations(tmp / "child.o"))) == found


@pytest.mark.parametrize("files,line,status", [
    ({"checks/a.result": "pass\n", "pytest.xml": "<testsuites><testsuite><testcase classname='a' name='b'/></testsuite></testsuites>", "pytest.status": "0"},
     "2 passed, 0 failed, 0 skipped", 0),
    ({"pytest.xml": "<testsuites><testsuite><testcase classname='a' name='b'><failure/></testcase><testcase classname='a' name='c'><skipped message='why'/></testcase></testsuite></testsuites>",
      "pytest.status": "1"}, "0 passed, 1 failed, 1 skipped", 1),
    ({"pytest.status": "3"}, "0 passed, 1 failed, 0 skipped", 1), ({}, "0 passed, 1 failed, 0 skipped", 1),
    ({"ctest.xml": "<testsuite><testcase name='x_test' status='fail'><failure/></testcase></testsuite>", "pytest.status": "0"}, "0 passed, 1 failed, 0 skipped", 1),
])
def test_the_summary_adds_up(tmp, files, line, status):
    tree(tmp, files)
    shown = subprocess.run(["/usr/bin/python3", REPO / "tools/summary.py", tmp], capture_output=True, text=True)
    assert shown.stdout.splitlines()[-1] == line and shown.returncode == status


def test_the_limits_of_the_readme_are_those_of_the_document():
    rows = [line for line in (REPO / "README.md").read_text().partition("### Limits that users see")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    whole = (REPO / "docs/limits.md").read_text().splitlines()
    assert len(rows) > 10 and [row for row in rows if row not in whole] == []
