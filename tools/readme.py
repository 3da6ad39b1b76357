#!/usr/bin/env python3
"""Runs what the README says.

    python3 tools/readme.py test      runs its second command, the one that passes the tests
    python3 tools/readme.py check     runs its first command and compares what it prints with the block shown

The commands are the lines of the first ```sh block, the answer is the first ```text block after it. Times and counts of lower solves may differ.
Numbers may differ in the seventh digit, very small ones (below 1e-5) in everything but their being small, since
compilers and processors round differently.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
TIME = re.compile(r"\d+(?:\.\d+)?\s*(?:ns|us|µs|ms|s|sec|seconds?|minutes?|lower solves)\b")


def blocks(text):
    """The commands and the answer of a README."""
    commands = re.search(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    if commands is None:
        raise ValueError("no ```sh block")
    answer = re.search(r"^```text\n(.*?)^```", text[commands.end():], re.DOTALL | re.MULTILINE)
    lines = [line.split(" #")[0].strip() for line in commands.group(1).splitlines() if line.strip()]
    if len(lines) != 2 or answer is None:
        raise ValueError("expected two commands and a ```text block")
    return lines, answer.group(1)


def skeleton(line):
    """A line without its times and numbers, with single spaces; and its numbers."""
    line = TIME.sub("TIME", line)
    numbers = [float(number) for number in NUMBER.findall(line)]
    return " ".join(NUMBER.sub("NUMBER", line).split()), numbers


def close(a, b):
    """Whether two numbers count as the same."""
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b)) or max(abs(a), abs(b)) < 1e-5


def differences(shown, printed):
    """The lines in which two outputs differ."""
    shown, printed = ([line for line in text.splitlines() if line.strip()] for text in (shown, printed))
    result = [f"{len(shown)} lines are shown, {len(printed)} are printed"] if len(shown) != len(printed) else []
    for a, b in zip(shown, printed):
        (text_a, numbers_a), (text_b, numbers_b) = skeleton(a), skeleton(b)
        if text_a != text_b or not all(map(close, numbers_a, numbers_b)):
            result.append(f"shown:   {a}\nprinted: {b}")
    return result


def main(arguments):
    """The command line; returns the exit code."""
    if arguments not in (["test"], ["check"]):
        print("usage: readme.py test|check", file=sys.stderr)
        return 2
    (solve, test), shown = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    if arguments == ["test"]:
        print(f"+ {test}", flush=True)
        return subprocess.run(shlex.split(test), cwd=ROOT).returncode
    print(f"+ {solve}", flush=True)
    run = subprocess.run(shlex.split(solve), cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    found = differences(shown, run.stdout) if run.returncode == 0 else [f"exit code {run.returncode}"]
    for difference in found:
        print(difference, file=sys.stderr)
    print("the README's answer is what the program prints" if not found else "the README shows another answer")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
