#!/usr/bin/env python3
"""Checks that the library's modules depend on each other in one direction only.

    python3 tools/check_layers.py [SRC]

A module may use those before it in ORDER. `proof` may use only the modules in PROOF: what it proves must not rest on
a solver. Tests may use everything: files named tests.rs, and what follows `#[cfg(test)]` before a module, are left out.
"""

import re
import sys
from pathlib import Path

ORDER = [
    "linalg", "set", "smooth", "expr", "problem", "observe", "evaluate", "solution", "nlp", "lower", "value", "hyper",
    "upper", "certificate", "solve",
]
PROOF = {"set", "smooth", "expr", "problem"}
# The face of the library, which may re-export anything and which no module may use.
FACE = {"lib", "prelude"}


def code_of(text):
    """A file without comments, strings and test modules."""
    pattern = r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|' + r"'(?:\\.[^']*|[^\\'])'"
    text = re.sub(pattern, lambda match: '""' if '"' in match.group()[:4] else " ", text, flags=re.DOTALL)
    parts = re.split(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*", text)
    result = parts[0]
    for part in parts[1:]:
        result += part[end_of_block(part):] if part.startswith("{") else part
    return result


def end_of_block(text):
    """The position after the brace that closes the one at the start."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return position + 1
    return len(text)


def first_names(text):
    """The first names of a path or of a braced list of paths: `a::b` and `{a::b, c}` give a, and a and c."""
    if not text.startswith("{"):
        match = re.match(r"(?:r#)?(\w+|\*)", text)
        return [match.group(1)] if match else []
    names, depth, start = [], 0, 1
    for position in range(end_of_block(text)):
        character = text[position]
        if (character == "," and depth == 1) or (character == "}" and depth == 1):
            names += first_names(text[start:position].strip())
            start = position + 1
        depth += (character == "{") - (character == "}")
    return names


def used_modules(code, depth):
    """The names that a file, `depth` modules deep, takes from the root of the crate."""
    names = []
    for match in re.finditer(r"\b(?:crate|bilevel)\s*::\s*", code):
        names += first_names(code[match.end():])
    for match in re.finditer(r"\b((?:super\s*::\s*)+)", code):
        if match.group(1).count("super") >= depth:
            names += first_names(code[match.end():])
    return names


def check(source):
    """The violations found under a folder of sources, and the number of files read."""
    problems, count = [], 0
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        module = parts[0]
        if module in FACE or "tests" in parts or parts[-1].startswith("test"):
            continue
        count += 1
        if module not in ORDER and module != "proof":
            problems.append(f"{path}: module '{module}' has no place in the order; give it one in check_layers.py")
            continue
        allowed = PROOF if module == "proof" else set(ORDER[: ORDER.index(module)])
        if module in ("certificate", "solve"):
            allowed = allowed | {"proof"}
        depth = len(parts) - (parts[-1] == "mod")
        for name in sorted(set(used_modules(code_of(path.read_text(encoding="utf-8")), depth))):
            if name != module and name not in allowed:
                problems.append(f"{path}: '{module}' must not use '{name}'")
    return problems, count


def main(arguments):
    """The command line; returns the exit code."""
    default = Path(__file__).resolve().parent.parent / "crates" / "bilevel" / "src"
    problems, count = check(Path(arguments[0]) if arguments else default)
    for problem in problems:
        print(problem, file=sys.stderr)
    if count == 0:
        print("no sources found", file=sys.stderr)
    print(f"layers: {count} files, {len(problems)} violations")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
