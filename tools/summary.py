#!/usr/bin/python3
"""summary.py DIR: adds up what test.sh left in DIR; the last line printed is "N passed, N failed, N skipped".

Every GoogleTest case and every pytest test counts as one, every check of tools/ as one. A program that died without a report, and a
runner that failed without a failed test, count as a failure: nothing that went wrong may add up to success.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures, self.skips = [], []

    def ok(self):
        self.passed += 1

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def skip(self, name, reason):
        self.skipped += 1
        self.skips.append(f"{name}: {reason}".replace("\n", " "))


def add_checks(count, directory):
    for file in sorted(directory.glob("*.result")):
        if file.read_text().strip() == "pass":
            count.ok()
        else:
            count.fail(f"tools/{file.stem}.py")


def add_gtest(count, file):
    """Returns whether a case of this program failed."""
    report = json.loads(file.read_text())
    failed = False
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            name = f"{file.stem}: {suite['name']}.{case['name']}"
            if case.get("failures"):
                failed = True
                count.fail(name)
            elif case.get("result") == "SKIPPED":
                count.skip(name, "; ".join(s.get("message", "") for s in case.get("skipped", [{}])) or "no reason given")
            elif case.get("status") == "RUN":
                count.ok()
    return failed


def add_ctest(count, directory):
    report = directory / "ctest.xml"
    programs = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else []
    for program in programs:
        name = program.get("name")
        file = directory / "gtest" / f"{name}.json"
        cases_failed = add_gtest(count, file) if file.exists() else False
        went_wrong = program.get("status") in ("fail", "disabled") or program.find("failure") is not None
        if went_wrong and not cases_failed:
            count.fail(f"{name} (the program itself)")
        elif not file.exists() and not went_wrong:
            count.ok()


def add_pytest(count, directory, run="pytest"):
    report = directory / f"{run}.xml"
    failed_before = count.failed
    for case in ElementTree.parse(report).getroot().iter("testcase") if report.exists() else []:
        name = f"{'' if run == 'pytest' else run + ': '}{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(name)
        elif skipped is not None:
            count.skip(name, skipped.get("message", "no reason given"))
        else:
            count.ok()
    status_file = directory / f"{run}.status"
    status = status_file.read_text().strip() if status_file.exists() else "missing"
    if status != "0" and count.failed == failed_before:
        count.fail(f"{run} ended with status {status}")


def main():
    directory = Path(sys.argv[1])
    count = Count()
    add_checks(count, directory / "checks")
    add_ctest(count, directory)
    add_pytest(count, directory)
    for status in sorted(directory.glob("pytest-*.status")):
        add_pytest(count, directory, status.stem)
    for skip in count.skips:
        print(f"skipped  {skip}")
    for failure in count.failures:
        print(f"FAILED   {failure}")
    if count.passed + count.failed == 0:
        count.fail("no test ran")
        print("FAILED   no test ran")
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
