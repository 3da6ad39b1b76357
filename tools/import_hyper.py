#!/usr/bin/env python3
"""Turn a folder of hyper-objective instances into problem files.

    python3 tools/import_hyper.py FOLDER OUT

Two forms are read:

* ``NAME.json``: a JSON object with ``kind`` H1, H2 or H3, the sizes ``n``, ``m``, the matrices V, Z, B (and Q), the
  vectors s, d (and b), and the start ``x0``. It becomes ``OUT/NAME.toml``.
* a subfolder ``NAME`` (or FOLDER itself) with the arrays A, b, Av, bv, group as ``.npy``: the large problems L1
  (``group`` has an entry for each column of A) and L2 (one for each row). It becomes ``OUT/NAME.toml``; the arrays are
  copied to ``OUT/NAME/``.

With a = V'y, z = Z'y, and t+ the positive part, the follower of H1, H2, H3 minimises norm2sq(s*a - B*x)/2, so that
its answers are a = (B*x)/s with any z. The leader's objectives are

    H1   3/4 |x|^2 + |a - d|^2/2 + x.z + sum (|z| - 1)+^2           optimistic; phi is weakly concave
    H2   sum cos(2x) + |a - d|^2/2 + (Qx).z - sum (|z| - 1)+^2      pessimistic; phi is weakly convex
    H3   mean(r*z - (|z| - 1)+^2), r = (Qx)^2 - b                   pessimistic; phi is weakly convex, its minimum 0

and those of L1 (feature relevance) and L2 (hyper-cleaning), both optimistic, with w_i = exp(x_group(i)) and
u_i = sigmoid(x_group(i)):

    L1   f = |A (w*y) - b|^2/2         F = |Av (w*y) - bv|^2/(2 rows) + |y|^2/200 + |x|^2/2000
    L2   f = sum u*(A y - b)^2/2       F = |Av y - bv|^2/(2 rows) + |y|^2/20 + |x|^2/20000

Matrices with many entries are written as ``.npy`` files beside the problem file. Only the standard library is used; the
output depends on the input alone.
"""

import array
import json
import math
import shutil
import sys
from pathlib import Path

import npy
from import_cases import toml_number, toml_string, toml_value

# Matrices with more entries do not stand in the problem file itself.
MOST_ENTRIES = 20_000

FOLLOWER = "norm2sq(s*(V'*y) - B*x)/2"
WELLS = "square(plus(abs(Z'*y) - 1))"
LEADERS = {
    "H1": f"3/4*norm2sq(x) + norm2sq(V'*y - d)/2 + dot(x, Z'*y) + sum({WELLS})",
    "H2": f"sum(cos(2*x)) + norm2sq(V'*y - d)/2 + dot(Q*x, Z'*y) - sum({WELLS})",
    "H3": f"mean((square(Q*x) - b)*(Z'*y) - {WELLS})",
}
# What each kind needs, with its sizes in terms of n, m, p (columns of V) and k (columns of Z).
COMMON = {"V": "mp", "Z": "mk", "s": "p", "B": "pn", "x0": "n"}
NEEDS = {"H1": COMMON | {"d": "p"}, "H2": COMMON | {"d": "p", "Q": "kn"}, "H3": COMMON | {"Q": "kn", "b": "k"}}
ATTITUDE = {"H1": "optimistic", "H2": "pessimistic", "H3": "pessimistic"}

LARGE = ("A", "b", "Av", "bv", "group")
LARGE_FORMULAS = {
    "L1": ("norm2sq(Av*(exp(x[group])*y) - bv)/(2*rows(Av)) + norm2sq(y)/200 + norm2sq(x)/2000",
           "norm2sq(A*(exp(x[group])*y) - b)/2"),
    "L2": ("norm2sq(Av*y - bv)/(2*rows(Av)) + norm2sq(y)/20 + norm2sq(x)/20000",
           "sum(sigmoid(x[group])*square(A*y - b))/2"),
}
LARGE_TITLES = {"L1": "feature relevance", "L2": "hyper-cleaning by groups"}


class CaseError(Exception):
    """An instance that cannot be converted; the message says why."""


def is_number(value):
    """Whether a JSON value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def checked(name, value, sizes):
    """A vector or matrix of the sizes needed."""
    if not isinstance(value, list) or len(value) != sizes[0]:
        raise CaseError(f"{name} should have {sizes[0]} entries" + (" (rows)" if len(sizes) > 1 else ""))
    rows = value if len(sizes) == 2 else [value]
    for row in rows:
        if not isinstance(row, list) or len(row) != sizes[-1] or not all(map(is_number, row)):
            raise CaseError(f"{name} should hold {' x '.join(map(str, sizes))} finite numbers")
    return value


def matrices(data, kind):
    """The arrays of an instance, checked."""
    n, m = data.get("n"), data.get("m")
    if not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in (n, m)):
        raise CaseError("n and m should be positive integers")
    s, z = data.get("s"), data.get("Z")
    if not isinstance(s, list) or not isinstance(z, list) or not z or not isinstance(z[0], list):
        raise CaseError("s should be a vector and Z a matrix")
    size = {"n": n, "m": m, "p": len(s), "k": len(z[0])}
    if not 1 <= size["p"] <= m or size["p"] + size["k"] != m:
        raise CaseError(f"V and Z should have {m} columns together")
    if kind == "H1" and size["k"] != n:
        raise CaseError(f"Z should have {n} columns")
    return {name: checked(name, data.get(name), [size[c] for c in code]) for name, code in NEEDS[kind].items()}, size


def scalar_or_vector(size):
    """The declaration of unbounded variables."""
    return "free" if size == 1 else f"vector({size})"


def start(values):
    """A start as TOML."""
    return toml_number(values[0]) if len(values) == 1 else toml_value([float(v) for v in values])


def constant(out, name, key, value):
    """The line of a constant; a large matrix goes to a file of its own."""
    rows = value if isinstance(value[0], list) else [value]
    if sum(map(len, rows)) <= MOST_ENTRIES:
        return f"{key} = {toml_value(value)}"
    shape = (len(value), len(value[0])) if isinstance(value[0], list) else (len(value),)
    out.mkdir(parents=True, exist_ok=True)
    npy.write(out / f"{name}_{key}.npy", array.array("d", (float(v) for row in rows for v in row)), shape)
    return f"{key} = {toml_string(f'{name}_{key}.npy')}"


def known(data, kind):
    """The lines of [known]."""
    attitude = ATTITUDE[kind]
    lines = ["[known]"]
    if is_number(data.get("phi_best")):
        key = "F" if attitude == "optimistic" else "pessimistic_F"
        lines.append(f"{key} = {toml_number(data['phi_best'])}")
        if attitude == "pessimistic":
            lines.append("pessimistic_attained = true")
    if kind == "H3" and isinstance(data.get("xstar"), list) and all(map(is_number, data["xstar"])):
        lines.append(f"x = {start(data['xstar'])}")
    notes = []
    if is_number(data.get("phi_x0")):
        notes.append(f"phi at the start is {data['phi_x0']!r}")
    if isinstance(data.get("grad_x0"), list) and all(map(is_number, data["grad_x0"])):
        notes.append(f"its gradient there is {data['grad_x0']!r}")
    if is_number(data.get("rho")):
        notes.append(f"phi is weakly {'concave' if kind == 'H1' else 'convex'} with modulus {data['rho']!r}")
    if attitude == "pessimistic":
        notes.append("the optimistic value is minus infinity: F is unbounded below over the follower's answers")
    else:
        notes.append("the pessimistic value is infinity: F is unbounded above over the follower's answers")
    lines += [f"notes = {toml_value(notes)}", f"tags = {toml_value(['hyper', kind, attitude])}"]
    return lines


def convert(data, name, out):
    """The text of the problem file of an instance H1, H2 or H3."""
    kind = data["kind"]
    arrays, size = matrices(data, kind)
    lines = ["# Written by tools/import_hyper.py.", f"name = {toml_string(name)}", ""]
    lines += ["[constants]"] + [constant(out, name, key, value) for key, value in arrays.items() if key != "x0"] + [""]
    lines += ["[leader]", f'x = "{scalar_or_vector(size["n"])}"', ""]
    lines += ["[follower]", f'y = "{scalar_or_vector(size["m"])}"', ""]
    leader, follower = LEADERS[kind], FOLLOWER
    if size["n"] == 1:
        # A matrix is multiplied with vectors only.
        leader, follower = (text.replace("B*x", "B*[x]").replace("Q*x", "Q*[x]").replace("dot(x,", "dot([x],")
                            .replace("norm2sq(x)", "x^2").replace("sum(cos(2*x))", "cos(2*x)") for text in (leader, follower))
    lines += ["[upper]", f"minimize = '''{leader}'''", "", "[lower]", f"minimize = '''{follower}'''", ""]
    lines += ["[start]", f"x = {start(arrays['x0'])}", ""]
    lines += ["[options]", f'attitude = "{ATTITUDE[kind]}"', ""]
    return "\n".join(lines + known(data, kind)) + "\n"


def large_kind(folder):
    """L1 or L2 and the number of the leader's variables, from the arrays' shapes."""
    shapes = {name: npy.header(folder / f"{name}.npy")[0] for name in LARGE}
    if len(shapes["A"]) != 2 or len(shapes["Av"]) != 2 or any(len(shapes[name]) != 1 for name in ("b", "bv", "group")):
        raise CaseError("A and Av should be matrices; b, bv and group vectors")
    rows, columns = shapes["A"]
    if shapes["b"] != (rows,) or shapes["Av"][1] != columns or shapes["bv"] != (shapes["Av"][0],):
        raise CaseError(f"the arrays' shapes do not fit: {shapes}")
    kinds = {columns: "L1", rows: "L2"}
    if rows == columns or shapes["group"][0] not in kinds:
        raise CaseError(f"group should have {columns} entries (L1) or {rows} (L2), and A not be square")
    group = npy.read(folder / "group.npy")[0]
    if any(g < 0 or g != int(g) for g in group):
        raise CaseError("group should hold numbers of groups, from 0")
    return kinds[shapes["group"][0]], int(max(group)) + 1, columns


def convert_large(folder, name, out):
    """The text of the problem file of L1 or L2; copies the arrays."""
    kind, n, m = large_kind(folder)
    (out / name).mkdir(parents=True, exist_ok=True)
    for key in LARGE:
        target = out / name / f"{key}.npy"
        if target.resolve() != (folder / f"{key}.npy").resolve():
            shutil.copyfile(folder / f"{key}.npy", target)
    leader, follower = LARGE_FORMULAS[kind]
    lines = ["# Written by tools/import_hyper.py.", f"name = {toml_string(f'{name} ({LARGE_TITLES[kind]})')}", ""]
    lines += ["[constants]"] + [f"{key} = {toml_string(f'{name}/{key}.npy')}" for key in LARGE] + [""]
    lines += ["[leader]", f'x = "vector({n})"', "", "[follower]", f'y = "vector({m})"', ""]
    lines += ["[upper]", f"minimize = '{leader}'", "", "[lower]", f"minimize = '{follower}'", ""]
    lines += ["[start]", "x = 0", ""]
    return "\n".join(lines + ["[known]", f"tags = {toml_value(['hyper', kind, 'optimistic'])}"]) + "\n"


def load(path):
    """The instance in a file, or None if the file holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and isinstance(data.get("kind"), str) and "V" in data else None


def convert_file(path, name, out):
    """The text of the problem file of one JSON file, or None if it is something else."""
    data = load(path)
    if data is None:
        return None
    if data["kind"] not in LEADERS:
        raise CaseError(f"kind '{data['kind']}' is not known; there are {', '.join(LEADERS)}")
    return convert(data, name, out)


def has_arrays(folder):
    """Whether a folder holds the arrays of L1 or L2."""
    return folder.is_dir() and all((folder / f"{name}.npy").is_file() for name in LARGE)


def import_folder(folder, out):
    """Converts a folder; returns the names written and the messages about instances that could not be converted."""
    written, failed = [], []
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(path, path.stem, convert_file) for path in sorted(folder.glob("*.json")) if path.is_file()]
    folders = [path for path in [folder.resolve(), *sorted(folder.iterdir())] if has_arrays(path)]
    jobs += [(path, path.name, convert_large) for path in folders]
    for path, name, converter in jobs:
        try:
            text = converter(path, name, out)
        except (CaseError, npy.NpyError, OSError) as error:
            failed.append(f"{path.name}: {error}")
            continue
        if text is not None:
            (out / f"{name}.toml").write_text(text, encoding="utf-8", newline="\n")
            written.append(name)
    return written, failed


def main(arguments):
    """The command line; returns the exit code."""
    if len(arguments) != 2:
        print("usage: import_hyper.py FOLDER OUT", file=sys.stderr)
        return 2
    folder, out = map(Path, arguments)
    if not folder.is_dir():
        print(f"error: '{folder}' is not a folder", file=sys.stderr)
        return 2
    written, failed = import_folder(folder, out)
    for message in failed:
        print(f"error: {message}", file=sys.stderr)
    print(f"{len(written)} problem file(s) written to {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
