#!/usr/bin/env python3
"""Lines over 120 columns, functions over 60 lines, files over 300, folders over 25 files, in what git tracks.

What tests/lint_known lists ("kind name number") may be as large as it says there and no larger; an entry that could be
smaller, or is not needed any more, is an offence too, so the list only shrinks (`tests/lint --known` writes it again
and refuses to let it grow). Generated files (the fuzzers' corpus, golden values) do not count.
"""
import collections
import os
import re
import subprocess
import sys

COLUMNS, FUNCTION, FILE, FOLDER = 120, 60, 300, 25
KNOWN = "tests/lint_known"
GENERATED = re.compile(r"^tests/(fuzzers/corpus|checkpoints/golden)/|^LICENSE|\.(json|jsonl|tsv|csv|bin|h5)$")
CODE = (".cpp", ".h", ".cu", ".cuh")


def functions(lines):
    """(name, lines) of the functions at column 0; clang-tidy counts those inside classes."""
    begin = None
    for number, line in enumerate(lines):
        if begin is None and re.match(r"[A-Za-z].*\(", line) and not re.match(r"(namespace|class|struct|enum)\b", line):
            begin = None if line.endswith(("}", ";")) else number
        elif line.startswith("}"):
            if begin is not None:
                yield re.split(r"\(", lines[begin])[0].split()[-1] + f"@{begin + 1}", number - begin + 1
            begin = None
        elif begin is not None and line.endswith(";") and not line.startswith(" "):
            begin = None


def measure():
    """{(kind, name): number} of what is over its limit."""
    over, folders = {}, collections.Counter()
    for path in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n"):
        if not path or GENERATED.search(path) or not os.path.isfile(path):
            continue
        folders[os.path.dirname(path) or "."] += 1
        try:
            lines = open(path, encoding="utf-8").read().split("\n")
        except UnicodeDecodeError:
            continue
        if long := sum(len(line) > COLUMNS for line in lines):
            over["columns", path] = long
        if path.endswith(CODE) and len(lines) - 1 > FILE:
            over["file", path] = len(lines) - 1
        if path.endswith(CODE):
            for name, length in functions(lines):
                if length > FUNCTION:
                    key = "function", path + ":" + name.split("@")[0]
                    over[key] = max(length, over.get(key, 0))
    over.update({("folder", name): count for name, count in folders.items() if count > FOLDER})
    return over


def read_known():
    if not os.path.exists(KNOWN):
        return {}
    rows = [line.split() for line in open(KNOWN, encoding="utf-8") if line.strip() and not line.startswith("#")]
    return {(kind, name): int(number) for kind, name, number in rows}


def main():
    over, known = measure(), read_known()
    worse = {key: n for key, n in over.items() if n > known.get(key, 0)}
    for (kind, name), number in sorted(worse.items()):
        limits = {"columns": f"lines over {COLUMNS} columns", "function": f"lines, at most {FUNCTION}",
                  "file": f"lines, at most {FILE}", "folder": f"files, at most {FOLDER}"}
        listed = f" (known: {known[kind, name]})" if (kind, name) in known else ""
        print(f"{name}: {number} {limits[kind]}{listed}")
    if "--known" in sys.argv[1:]:
        if worse and known:
            sys.exit("tests/lint_known may only shrink: mend what is named above")
        with open(KNOWN, "w", encoding="utf-8") as out:
            out.write("# What is over a limit of tests/lint_sizes.py: kind, name, number. May only shrink.\n")
            out.writelines(f"{kind} {name} {number}\n" for (kind, name), number in sorted(over.items()))
        return 0
    better = {key for key, number in known.items() if over.get(key, 0) < number}
    for kind, name in sorted(better):
        print(f"{KNOWN}: {kind} {name} is better than listed: write the list again by tests/lint --known")
    print(f"{len(known)} known exceptions, of columns {sum(n for (kind, _), n in known.items() if kind == 'columns')}")
    return 1 if worse or better else 0


sys.exit(main())
