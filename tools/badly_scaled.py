#!/usr/bin/env python3
"""Make badly scaled copies of problems, to see whether they are solved as the originals are.

    python3 tools/badly_scaled.py FOLDER OUT --seed N [--objectives] [--spread 4] [--seeds K]

Every JSON case and every problem file (``*.toml``) directly in FOLDER becomes a problem file in OUT: every variable is
counted in another unit, ``x_i = s_i x_i'``, and every constraint of both levels is multiplied by a factor; with
``--objectives`` both objectives are, too. Factors are log-uniform between 10^-SPREAD and 10^SPREAD and have four
digits. The feasible points, the follower's answers and (without ``--objectives``) the values are those of the original
problem: ``bilevel bench OUT`` shows how many are still solved.

With ``--seeds K``, K copies are made of each problem, named ``NAME-1`` ... with different factors; the factors of a
problem depend on the seed and on its name alone.

* A JSON case (see tools/import_cases.py) is rewritten in its own form first, and then imported.
* In a problem file, the variables of intervals and boxes are scaled; those of a simplex or another set, which would not
  stay such a set, are not. Bounds are divided, starts and known points too. A chain ``a <= b <= c`` and a comparison of
  vectors count as one row.

Only the standard library is used.
"""

import argparse
import json
import math
import random
import re
import sys
import tomllib
from pathlib import Path

import import_cases

DIGITS = 4


class ScalingError(Exception):
    """A problem that cannot be copied; the message says why."""


class Factors:
    """Log-uniform factors that depend on a seed and a name."""

    def __init__(self, seed, name, spread):
        self.random, self.spread = random.Random(f"{seed} {name}"), spread

    def next(self):
        """The next factor, with few digits."""
        return float(f"{10 ** self.random.uniform(-self.spread, self.spread):.{DIGITS - 1}e}")

    def some(self, count):
        """Several factors."""
        return [self.next() for _ in range(count)]


def divided(value, factor):
    """A coordinate in the new unit; not a number stays what it is."""
    return value / factor if isinstance(value, (int, float)) and math.isfinite(value) else value


# --- JSON cases -------------------------------------------------------------------------------------------------


def scale_case(data, factors, objectives):
    """The case with other units and multiplied rows."""
    units = {"x": factors.some(data["n"]), "y": factors.some(data["m"])}
    data = dict(data)

    def rewritten(text, factor=None):
        text = re.sub(r"\b([xy])([1-9]\d*)\b", lambda m: f"({units[m[1]][int(m[2]) - 1]!r}*{m[0]})", text)
        return text if factor is None else f"{factor!r}*({text})"

    for rows in ("G", "g"):
        data[rows] = [rewritten(row, factors.next()) for row in data.get(rows, [])]
    goals = factors.some(2)
    for key, factor in zip("Ff", goals):
        data[key] = rewritten(data[key], factor if objectives else None)
    if objectives:
        for key in ("target_F", "best_F", "pessimistic_F", "verified_F", "verified_tol"):
            if isinstance(data.get(key), (int, float)):
                data[key] = data[key] * goals[0]
    for block, unit in units.items():
        for key in (f"{block}0", f"opt_{block}", f"pessimistic_{block}"):
            if isinstance(data.get(key), list) and len(data[key]) == len(unit):
                data[key] = [divided(value, factor) for value, factor in zip(data[key], unit)]
    return data


# --- problem files ----------------------------------------------------------------------------------------------

INTERVAL = re.compile(r"\s*(?:(scalar|free|nonnegative)|(?:scalar\s+)?in\s*(.+))\s*", re.S)
VECTOR = re.compile(r"\s*vector\((\d+)\)\s*(?:(nonnegative|free)|in\s*(.+))?\s*", re.S)


def numbers(text):
    """The brackets of a declaration as nested lists of numbers, or None if names occur in it."""
    try:
        return json.loads(re.sub(r"(-?)\binf\b", r"\g<1>Infinity", re.sub(r"(?<![\w.])\.(\d)", r"0.\1", text)))
    except ValueError:
        return None


def scaled_declaration(text, factors):
    """(declaration, factors of its entries), or (text, None) for sets that cannot be scaled entry by entry."""
    scalar, vector = INTERVAL.fullmatch(text), VECTOR.fullmatch(text)
    size = 1 if scalar else int(vector[1]) if vector else 0
    word, bounds = (scalar[1], scalar[2]) if scalar else (vector[2], vector[3]) if vector else (None, None)
    pair = numbers(bounds) if bounds else [0.0, math.inf] if word == "nonnegative" else [-math.inf, math.inf]
    fits = isinstance(pair, list) and len(pair) == 2
    if size == 0 or not fits:
        return text, None
    pair = [end if isinstance(end, list) else [end] * size for end in pair]
    if any(len(end) != size for end in pair):
        return text, None
    unit = factors.some(size)
    low, high = ([divided(value, factor) for value, factor in zip(end, unit)] for end in pair)
    shown = [import_cases.toml_value([float(value) for value in end]) for end in (low, high)]
    if scalar:
        return f"in [{shown[0][1:-1]}, {shown[1][1:-1]}]", unit
    return f"vector({size}) in [{shown[0]}, {shown[1]}]", unit


def scaled_formula(text, units, factor=None):
    """The formula in the new variables, times a factor."""

    def rewritten(match):
        name, index = match[1], match[2]
        if name not in units:
            return match[0]
        unit = units[name]
        if index is not None:
            return f"({unit[int(index)]!r}*{name}[{index}])"
        return f"({unit[0]!r}*{name})" if len(unit) == 1 else f"(unit_{name}*{name})"

    text = re.sub(r"(?<![\w.])([A-Za-z_]\w*)\b(?!\s*\()(?:\[(\d+)\])?", rewritten, text)
    return text if factor is None else f"{factor!r}*({text})"


def scaled_row(text, units, factor):
    """A comparison in the new variables, with all its sides multiplied."""
    sides = re.split(r"(<=|>=|==)", text)
    return " ".join(
        side if k % 2 else scaled_formula(side.strip(), units, factor) for k, side in enumerate(sides))


def scale_file(data, factors, objectives):
    """The tables of a problem file with other units and multiplied rows."""
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    units = {}
    for level in ("leader", "follower"):
        for name, text in data.get(level, {}).items():
            data[level][name], unit = scaled_declaration(text, factors)
            if unit is not None:
                units[name] = unit
    vectors = {f"unit_{name}": unit for name, unit in units.items() if len(unit) > 1}
    if vectors:
        data["constants"] = data.get("constants", {}) | vectors
    goals = dict(zip(("upper", "lower"), factors.some(2)))
    for level in ("upper", "lower"):
        for key in ("minimize", "maximize"):
            if key in data[level]:
                factor = goals[level] if objectives else None
                data[level][key] = scaled_formula(data[level][key], units, factor)
        rows = data[level].get("subject_to", [])
        rows = [rows] if isinstance(rows, str) else rows
        if rows:
            data[level]["subject_to"] = [scaled_row(row, units, factors.next()) for row in rows]
    if objectives:
        for key in ("F", "best_F", "pessimistic_F"):
            if isinstance(data.get("known", {}).get(key), (int, float)):
                data["known"][key] *= goals["upper"]
    for table in ("start", "known"):
        for name, unit in units.items():
            value = data.get(table, {}).get(name)
            if isinstance(value, list) and len(value) == len(unit):
                data[table][name] = [divided(v, factor) for v, factor in zip(value, unit)]
            elif isinstance(value, (int, float)) and len(unit) == 1:
                data[table][name] = divided(value, unit[0])
    return data


def toml_text(data):
    """Tables of simple values, and tables of these, as TOML."""
    lines, tables = [], []
    for key, value in data.items():
        if isinstance(value, dict):
            tables.append(([key], value))
        else:
            lines.append(f"{key} = {import_cases.toml_value(value)}")
    while tables:
        path, table = tables.pop(0)
        inner = [(path + [key], value) for key, value in table.items() if isinstance(value, dict)]
        plain = [(key, value) for key, value in table.items() if not isinstance(value, dict)]
        if plain or not inner:
            lines += ["", f"[{'.'.join(path)}]"]
            lines += [f"{key} = {import_cases.toml_value(value)}" for key, value in plain]
        tables = inner + tables
    return "\n".join(lines).lstrip("\n") + "\n"


# --- folders ----------------------------------------------------------------------------------------------------


def copy(path, seed, options):
    """The text of one badly scaled problem file, or None if the file holds no problem."""
    factors = Factors(seed, path.stem, options.spread)
    if path.suffix == ".json":
        data = import_cases.load(path)
        return None if data is None else import_cases.convert(scale_case(data, factors, options.objectives), path.stem)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    if not {"follower", "upper", "lower"} <= data.keys():
        return None
    return toml_text(scale_file(data, factors, options.objectives))


def copy_folder(options):
    """Writes all copies; returns how many, and the messages about problems that could not be copied."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20000))
    options.out.mkdir(parents=True, exist_ok=True)
    written, failed = 0, []
    for path in sorted(options.folder.iterdir()):
        if path.suffix not in (".json", ".toml"):
            continue
        for k in range(options.seeds):
            try:
                text = copy(path, options.seed + k, options)
            except (import_cases.CaseError, ScalingError, tomllib.TOMLDecodeError, RecursionError) as error:
                failed.append(f"{path.name}: {error}")
                break
            if text is None:
                break
            name = path.stem if options.seeds == 1 else f"{path.stem}-{options.seed + k}"
            (options.out / f"{name}.toml").write_text(text, encoding="utf-8", newline="\n")
            written += 1
    return written, failed


def main(arguments):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make badly scaled copies of problems.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="seed of the factors")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="copies of each problem")
    parser.add_argument("--spread", type=float, default=4.0, help="factors lie between 10^-SPREAD and 10^SPREAD")
    parser.add_argument("--objectives", action="store_true", help="multiply both objectives, too")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        print(f"error: '{options.folder}' is not a folder", file=sys.stderr)
        return 2
    written, failed = copy_folder(options)
    for message in failed:
        print(f"error: {message}", file=sys.stderr)
    print(f"{written} problem file(s) written to {options.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
