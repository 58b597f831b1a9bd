#!/usr/bin/python3
"""Code that runs between clone() and execve() calls nothing that may allocate, lock, log, throw or look up users.

Proved on the object files of src/runtime/child*.cpp: `nm -u` lists what they need from elsewhere.

And code that runs before the C library has started (src/kernel/own_program_entry.cpp) calls nothing at all.

    check_symbols.py [BUILD_DIRECTORY | OBJECT.o ...]      build/release by default
"""

import re
import subprocess
import sys
from pathlib import Path

FORBIDDEN = [
    (r"(malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|strdup|asprintf|vasprintf|alloca)", "allocates"),
    (r"operator (new|delete).*", "allocates"),
    (r"pthread_(mutex|rwlock|cond|spin|once)\w*", "takes a lock"),
    (r"std::(mutex|__once|condition_variable|recursive_mutex).*", "takes a lock"),
    (r"__cxa_guard_\w+", "takes a lock (a function-local static)"),
    (r"(v?s?n?printf|puts|putchar|fwrite|fputs|fopen|syslog|perror|strerror|__\w*printf_chk)", "uses stdio or locale"),
    (r"(fmt|spdlog|bryo::log)::.*", "formats or logs"),
    (r"(__cxa_throw|__cxa_allocate_exception|__cxa_rethrow)", "throws"),
    (r"std::__throw_\w+.*", "throws"),
    (r"(getpw|getgr|getsp)\w*|initgroups|getaddrinfo|dlopen|dlsym|setlocale|iconv_open", "loads foreign code"),
    (r"std::(__cxx11::)?basic_string.*", "allocates (a string)"),
    (r"std::(filesystem|locale|ios_base|basic_ostream|thread).*", "allocates or locks"),
    (r"(setenv|putenv|unsetenv|exit|atexit|system|popen|fork)", "is not for a cloned child"),
]


def undefined_symbols(object_file):
    listed = subprocess.run(["nm", "--undefined-only", "--demangle", "--format=posix", object_file], check=True, capture_output=True, text=True)
    return [re.sub(r" U\s*$", "", line).split("@")[0] for line in listed.stdout.splitlines()]


def violations(object_file):
    for symbol in undefined_symbols(object_file):
        for pattern, reason in FORBIDDEN:
            if re.fullmatch(pattern, symbol):
                yield f"{object_file.name}: {symbol} {reason}"


def calls_before_start(directory):
    """What the entry of bryo-oci needs from elsewhere; only the C library's own first instruction is allowed."""
    for object_file in directory.rglob("own_program_entry.cpp.o"):
        for symbol in undefined_symbols(object_file):
            if symbol not in ("_start", "_GLOBAL_OFFSET_TABLE_"):
                yield f"{object_file.name}: {symbol} is not there yet when the program begins"


def main():
    root = Path(__file__).resolve().parents[1]
    arguments = [Path(a) for a in sys.argv[1:]] or [root / "build/release"]
    if arguments[0].is_dir():
        sources = {f"{p.name}.o" for p in (root / "src/runtime").glob("child*.cpp") if not p.name.endswith("_test.cpp")}
        objects = [p for p in arguments[0].rglob("child*.cpp.o") if p.name in sources and "bryo_runtime.dir" in p.parts]
        missing = sources - {p.name for p in objects}
        if not sources or missing:
            print(f"nothing to check: no object file for {', '.join(sorted(missing)) or 'src/runtime/child*.cpp'}: build first")
            return 1
    else:
        objects = arguments
    found = [v for o in sorted(objects) for v in violations(o)]
    if arguments[0].is_dir():
        found += calls_before_start(arguments[0])
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
