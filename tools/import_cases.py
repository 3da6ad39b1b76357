#!/usr/bin/env python3
"""Turn a folder of JSON test cases into problem files.

    python3 tools/import_cases.py FOLDER OUT

Every case ``NAME.json`` directly in FOLDER becomes ``OUT/NAME.toml``. A case is a JSON object with the sizes
``n`` and ``m``, the objectives ``F`` (leader) and ``f`` (follower), and the constraints ``G`` (leader) and ``g``
(follower), each meaning "at least zero". Other files and subfolders are left alone.

What is done with a case:

* The leader's variables ``x1..xn`` become the block ``x``, the follower's ``y1..ym`` the block ``y``: a scalar where
  the size is 1, a 0-based vector (``x[0]``, ...) where it is larger, no block where it is 0.
* A row of G in one leader variable alone, affine in it, is a bound and becomes part of the leader's set. The same
  holds for rows of g and the follower's variables. Nothing moves across the levels: a row of G in y alone restricts
  the leader, not the follower. Bounds that leave no point stay constraints, so that solving says "infeasible".
* Two opposite rows, e >= 0 and -e >= 0, become one equality. This is decided by exact rational arithmetic.
* A row without variables that holds is dropped.
* Start, known values, expectation, source, notes and tags are kept.

Only the standard library is used. The output depends on the input alone.
"""

import json
import math
import re
import sys
from fractions import Fraction
from pathlib import Path

FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "sin": 1, "cos": 1, "abs": 1, "max": 2, "min": 2}
# Above these sizes a product is not multiplied out but kept as one unknown. Only equalities hidden in very large
# products could be missed by that.
MAX_TERMS = 3000
MAX_POWER = 16


class CaseError(Exception):
    """A case that cannot be converted; the message says why."""


# --- formulas: text -> tree -------------------------------------------------------------------------------------
#
# A tree is a tuple: ("num", text), ("var", "x" or "y", index from 0), ("neg", a), ("+", a, b), ("-", a, b),
# ("*", a, b), ("/", a, b), ("^", a, b), or ("call", name, (arguments...)).

TOKEN = re.compile(r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|([-+*/^(),]))")


def tokenize(text):
    """The tokens of a formula as (kind, text, column) with kind "num", "name" or "op"."""
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise CaseError(f"unexpected character at column {position + 1} of '{text}'")
        kind = ("num", "name", "op")[match.lastindex - 1]
        tokens.append((kind, match.group(match.lastindex), match.start(match.lastindex) + 1))
        position = match.end()
    return tokens


class Parser:
    """Recursive descent over the grammar of the case files (unary minus binds looser than ^, as in mathematics)."""

    def __init__(self, text, sizes):
        self.text, self.sizes = text, sizes
        self.tokens, self.next = tokenize(text), 0

    def parse(self):
        """The whole text as one tree."""
        tree = self.expression()
        if self.next != len(self.tokens):
            raise self.error(f"unexpected '{self.tokens[self.next][1]}'")
        return tree

    def error(self, message):
        """An error that names the place."""
        at = self.tokens[self.next][2] if self.next < len(self.tokens) else len(self.text) + 1
        return CaseError(f"{message} at column {at} of '{self.text}'")

    def accept(self, *operators):
        """Takes the next token if it is one of these operators."""
        if self.next < len(self.tokens):
            kind, text, _ = self.tokens[self.next]
            if kind == "op" and text in operators:
                self.next += 1
                return text
        return None

    def require(self, operator):
        """Takes the next token, which has to be this operator."""
        if self.accept(operator) is None:
            raise self.error(f"expected '{operator}'")

    def expression(self):
        """term (('+'|'-') term)*"""
        tree = self.term()
        while operator := self.accept("+", "-"):
            tree = (operator, tree, self.term())
        return tree

    def term(self):
        """unary (('*'|'/') unary)*"""
        tree = self.unary()
        while operator := self.accept("*", "/"):
            tree = (operator, tree, self.unary())
        return tree

    def unary(self):
        """('-'|'+') unary | power"""
        sign = self.accept("-", "+")
        if sign is None:
            return self.power()
        operand = self.unary()
        return ("neg", operand) if sign == "-" else operand

    def power(self):
        """atom ('^' unary)?"""
        base = self.atom()
        return ("^", base, self.unary()) if self.accept("^") else base

    def atom(self):
        """number | variable | function '(' expr (',' expr)* ')' | '(' expr ')'"""
        if self.accept("("):
            tree = self.expression()
            self.require(")")
            return tree
        if self.next == len(self.tokens):
            raise self.error("unexpected end")
        kind, text, _ = self.tokens[self.next]
        if kind == "op":
            raise self.error(f"unexpected '{text}'")
        if kind == "num":
            if not math.isfinite(float(text)):
                raise self.error(f"number '{text}' is too large")
            self.next += 1
            return ("num", text)
        return self.call(text) if text in FUNCTIONS else self.variable(text)

    def call(self, name):
        """The arguments of a function."""
        self.next += 1
        self.require("(")
        arguments = [self.expression()]
        while self.accept(","):
            arguments.append(self.expression())
        self.require(")")
        if len(arguments) != FUNCTIONS[name]:
            raise self.error(f"'{name}' takes {FUNCTIONS[name]} argument(s), not {len(arguments)},")
        return ("call", name, tuple(arguments))

    def variable(self, name):
        """x1..xn or y1..ym."""
        match = re.fullmatch(r"([xy])([1-9]\d*)", name)
        if match is None or int(match.group(2)) > self.sizes[match.group(1)]:
            raise self.error(f"unknown name '{name}'")
        self.next += 1
        return ("var", match.group(1), int(match.group(2)) - 1)


# --- formulas: tree -> text -------------------------------------------------------------------------------------

LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "^": 4}


def level(tree):
    """How strongly the outermost operation binds."""
    return LEVEL.get(tree[0], 5)


def number_text(text):
    """A number of a formula: digits as they are, anything else as the shortest text of the same double."""
    if text.isdigit():
        return str(int(text)) if len(text) < 17 else repr(float(text))
    return re.sub(r"\.0$", "", repr(float(text)))


def show(tree, sizes):
    """The tree as a formula in the names of the problem file, with no more brackets than are needed."""
    kind = tree[0]
    if kind == "num":
        return number_text(tree[1])
    if kind == "var":
        return tree[1] if sizes[tree[1]] == 1 else f"{tree[1]}[{tree[2]}]"
    if kind == "call":
        return f"{tree[1]}({', '.join(show(argument, sizes) for argument in tree[2])})"

    def operand(child, at_least):
        text = show(child, sizes)
        return text if level(child) >= at_least else f"({text})"

    if kind == "neg":
        # -(-a) keeps its brackets: a reader should not have to think about "--".
        return "-" + operand(tree[1], 4)
    if kind == "^":
        return operand(tree[1], 5) + "^" + operand(tree[2], 5)
    mine = LEVEL[kind]
    left = operand(tree[1], mine)
    # On the right of + and - a product may stand bare, a sign or another sum may not; on the right of * and / only
    # powers may.
    right = operand(tree[2], 4) if mine == 2 or tree[2][0] == "neg" else operand(tree[2], 2)
    return f"{left}{kind}{right}" if mine == 2 else f"{left} {kind} {right}"


# --- formulas: tree -> exact polynomial -------------------------------------------------------------------------
#
# A polynomial is a dictionary from monomials to nonzero fractions. A monomial is a sorted tuple of (atom, power); an
# atom is a variable ("var", block, index) or anything that is not a polynomial, as a key made of its canonical parts.


def constant(value):
    """The polynomial of one number."""
    return {(): Fraction(value)} if value else {}


def atom(key):
    """The polynomial of one unknown."""
    return {((key, 1),): Fraction(1)}


def canonical(polynomial):
    """A polynomial as something that can be compared and hashed."""
    return tuple(sorted(polynomial.items(), key=repr))


def as_constant(polynomial):
    """The value, if the polynomial is constant."""
    if not polynomial:
        return Fraction(0)
    return polynomial[()] if len(polynomial) == 1 and () in polynomial else None


def add(a, b, factor=1):
    """a + factor b"""
    total = dict(a)
    for monomial, coefficient in b.items():
        value = total.get(monomial, 0) + factor * coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def multiply(a, b):
    """a b, or one unknown where the product would be very long."""
    if len(a) * len(b) > MAX_TERMS:
        return atom(("product",) + tuple(sorted((canonical(a), canonical(b)), key=repr)))
    product = {}
    for left, u in a.items():
        for right, v in b.items():
            powers = dict(left)
            for key, power in right:
                powers[key] = powers.get(key, 0) + power
            monomial = tuple(sorted(powers.items(), key=repr))
            product[monomial] = product.get(monomial, 0) + u * v
    return {monomial: coefficient for monomial, coefficient in product.items() if coefficient}


def power(base, exponent):
    """base ^ exponent, multiplied out for small whole exponents."""
    base_value, value = as_constant(base), as_constant(exponent)
    if base_value is not None and value is not None:
        folded = fold_power(base_value, value)
        if folded is not None:
            return constant(folded)
    if value is not None and value.denominator == 1 and 0 <= value <= MAX_POWER:
        result = constant(1)
        for _ in range(int(value)):
            result = multiply(result, base)
        return result
    return atom(("^", canonical(base), canonical(exponent)))


def fold_power(base, exponent):
    """The value of a power of numbers; exact where it is small and rational, None where it is undefined."""
    if exponent.denominator == 1 and abs(exponent) <= 64 and (base or exponent >= 0):
        return base ** int(exponent)
    return fold_float(lambda: float(base) ** float(exponent))


def fold_float(compute):
    """The rounded value of a calculation, or None where it is undefined."""
    try:
        value = compute()
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return Fraction(value) if isinstance(value, float) and math.isfinite(value) else None


def fold_call(name, values):
    """The value of a function of numbers (exact where it is rational), or None where it is undefined."""
    if name in ("abs", "max", "min"):
        return {"abs": abs, "max": max, "min": min}[name](*values)
    if name == "sqrt" and values[0] >= 0:
        roots = [math.isqrt(part) for part in (values[0].numerator, values[0].denominator)]
        if Fraction(*roots) ** 2 == values[0]:
            return Fraction(*roots)
    return fold_float(lambda: getattr(math, name)(float(values[0])))


def polynomial_of(tree):
    """The exact polynomial of a formula; what is not a polynomial enters as an unknown."""
    kind = tree[0]
    if kind == "num":
        return constant(Fraction(tree[1]) if 1e-300 < float(tree[1]) else Fraction(float(tree[1])))
    if kind == "var":
        return atom(tree)
    if kind == "call":
        arguments = [polynomial_of(argument) for argument in tree[2]]
        values = [as_constant(argument) for argument in arguments]
        folded = None if None in values else fold_call(tree[1], values)
        return atom((tree[1],) + tuple(map(canonical, arguments))) if folded is None else constant(folded)
    if kind == "neg":
        return add({}, polynomial_of(tree[1]), -1)
    a, b = polynomial_of(tree[1]), polynomial_of(tree[2])
    if kind in "+-":
        return add(a, b, 1 if kind == "+" else -1)
    if kind == "*":
        return multiply(a, b)
    if kind == "^":
        return power(a, b)
    divisor = as_constant(b)
    if divisor is None or divisor == 0:
        return multiply(a, atom(("inverse", canonical(b))))
    return multiply(a, constant(1 / divisor))


# --- constraints ------------------------------------------------------------------------------------------------


class Row:
    """One constraint "formula at least zero"."""

    def __init__(self, text, sizes):
        self.tree = Parser(text, sizes).parse()
        self.polynomial = polynomial_of(self.tree)
        self.relation = ">="

    def always_holds(self):
        """Whether the row is a number that is at least zero."""
        value = as_constant(self.polynomial)
        return value is not None and value >= 0

    def bound(self, block):
        """(index, slope, bound) if the row is affine in exactly one variable and that belongs to the block."""
        variable, slope, offset = None, None, Fraction(0)
        for monomial, coefficient in self.polynomial.items():
            if monomial == ():
                offset = coefficient
            elif variable is None and len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0][0] == "var":
                variable, slope = monomial[0][0], coefficient
            else:
                return None
        if variable is None or variable[1] != block:
            return None
        bound = -offset / slope
        return (variable[2], slope, bound) if finite(bound) else None

    def direction(self):
        """(key, sign): rows that differ by a positive factor have both in common, opposite rows only the key."""
        terms = canonical(self.polynomial)
        scale = terms[0][1]
        return tuple((monomial, value / scale) for monomial, value in terms), scale > 0


def finite(value):
    """Whether a fraction is within the range of doubles."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def take_bounds(rows, block, size):
    """Splits rows into bounds (lower, upper; None where there is none) and the rest, in their order."""
    found = {}
    for row in rows:
        bound = row.bound(block)
        if bound is not None:
            found.setdefault(bound[0], []).append((row, bound[1], bound[2]))
    lower, upper, used = [None] * size, [None] * size, set()
    for index, bounds in found.items():
        low = max((value for _, slope, value in bounds if slope > 0), default=None)
        high = min((value for _, slope, value in bounds if slope < 0), default=None)
        if low is None or high is None or low <= high:
            lower[index], upper[index] = low, high
            used.update(id(row) for row, _, _ in bounds)
    return lower, upper, [row for row in rows if id(row) not in used]


def join_opposites(rows):
    """Replaces rows e >= 0 and -e >= 0 by one row e == 0, at the place of the first."""
    signs = {}
    for row in rows:
        key, sign = row.direction()
        signs.setdefault(key, set()).add(sign)
    result, done = [], set()
    for row in rows:
        key, _ = row.direction()
        if len(signs[key]) == 2:
            if key in done:
                continue
            done.add(key)
            row.relation = "=="
        result.append(row)
    return result


def level_rows(texts, sizes, block):
    """The set and the remaining constraints of one level."""
    rows = [row for row in (Row(text, sizes) for text in texts) if not row.always_holds()]
    lower, upper, rest = take_bounds(rows, block, sizes[block])
    # A row without variables that fails has a constant polynomial; it is kept as it is, and has no opposite.
    return lower, upper, join_opposites(rest)


# --- TOML -------------------------------------------------------------------------------------------------------

ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def toml_string(text):
    """A TOML basic string. Code points that are not characters are replaced."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return '"' + "".join(ESCAPES.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04X}") for c in text) + '"'


def toml_number(value):
    """A number that reads back as the same double."""
    value = float(value)
    if math.isnan(value):
        return "nan"
    return repr(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def toml_value(value):
    """A string, truth value, number, or a list of these."""
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if any(isinstance(item, str) for item in value):
            return "[\n" + "".join(f"    {toml_value(item)},\n" for item in value) + "]"
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return toml_number(value)


def block_spec(lower, upper):
    """The declaration of a block: its size and its bounds."""
    def number(value, missing):
        return missing if value is None else re.sub(r"\.0$", "", toml_number(value))

    low = [number(value, "-inf") for value in lower]
    high = [number(value, "inf") for value in upper]
    size = len(low)
    if size == 1:
        return f"in [{low[0]}, {high[0]}]"
    if set(low) == {"-inf"} and set(high) == {"inf"}:
        return f"vector({size})"
    if len(set(low)) == 1 and len(set(high)) == 1:
        return f"vector({size}) in [{low[0]}, {high[0]}]"
    return f"vector({size}) in [[{', '.join(low)}], [{', '.join(high)}]]"


# --- cases ------------------------------------------------------------------------------------------------------


def is_case(data):
    """Whether a JSON value has the form of a test case."""
    return (
        isinstance(data, dict)
        and all(isinstance(data.get(key), int) and not isinstance(data.get(key), bool) for key in ("n", "m"))
        and all(isinstance(data.get(key), str) for key in ("F", "f"))
        and all(isinstance(data.get(key, []), list) for key in ("G", "g"))
    )


def point(values, size):
    """A start or known point of a block as TOML, or None if it is missing or not a point."""
    numbers = isinstance(values, list) and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)
    if not numbers or len(values) != size or size == 0:
        return None
    return toml_number(values[0]) if size == 1 else toml_value([float(v) for v in values])


def objective_section(title, data_objective, rows, sizes):
    """The lines of [upper] or [lower]."""
    lines = [f"[{title}]", f"minimize = '{show(Parser(data_objective, sizes).parse(), sizes)}'"]
    if rows:
        lines.append("subject_to = [")
        lines += [f"    '{show(row.tree, sizes)} {row.relation} 0'," for row in rows]
        lines.append("]")
    return lines + [""]


def texts(value):
    """The strings in a list, or one string as a list."""
    return [value] if isinstance(value, str) else [v for v in value or [] if isinstance(v, str)]


def known_notes(data):
    """The case's notes, and what else it says about its values, as text."""
    notes = texts(data.get("notes"))
    if isinstance(data.get("pessimistic_note"), str):
        notes.append(f"pessimistic: {data['pessimistic_note']}")
    if data.get("pessimistic_x"):
        notes.append(f"the pessimistic infimum is approached near x = {data['pessimistic_x']}")
    if data.get("verified_tol") is not None:
        notes.append(f"F was checked by brute force to {data['verified_tol']}")
    return notes


def known_section(data, sizes):
    """The lines of [known]."""
    entries = [("F", data.get("target_F")), ("pessimistic_F", data.get("pessimistic_F"))]
    entries += [(key, data.get(key)) for key in ("pessimistic_attained", "expect", "best_F")]
    lines = [f"{key} = {toml_value(value)}" for key, value in entries if value is not None]
    for block in "xy":
        value = point(data.get(f"opt_{block}"), sizes[block])
        if value is not None:
            lines.append(f"{block} = {value}")
    if isinstance(data.get("source"), str):
        lines.append(f"source = {toml_string(data['source'])}")
    lists = (("notes", known_notes(data)), ("tags", texts(data.get("tags"))))
    lines += [f"{key} = {toml_value(value)}" for key, value in lists if value]
    return ["[known]"] + lines if lines else []


def convert(data, name):
    """The text of the problem file of a case."""
    sizes = {"x": data["n"], "y": data["m"]}
    if min(sizes.values()) < 0:
        raise CaseError("n and m cannot be negative")
    title = data["name"] if isinstance(data.get("name"), str) else name
    lines = ["# Written by tools/import_cases.py.", f"name = {toml_string(title)}", ""]
    sections = []
    for title, role, block, objective, rows in (("leader", "upper", "x", "F", "G"), ("follower", "lower", "y", "f", "g")):
        lower, upper, rest = level_rows(data.get(rows, []), sizes, block)
        if sizes[block]:
            lines += [f"[{title}]", f'{block} = "{block_spec(lower, upper)}"', ""]
        sections += objective_section(role, data[objective], rest, sizes)
    lines += sections
    start = [(block, point(data.get(f"{block}0"), sizes[block])) for block in "xy" if sizes[block]]
    if all(value for _, value in start):
        lines += ["[start]"] + [f"{block} = {value}" for block, value in start] + [""]
    return "\n".join(lines + known_section(data, sizes)).rstrip() + "\n"


def load(path):
    """The case in a file, or None if the file holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return data if is_case(data) else None


def import_folder(folder, out):
    """Converts a folder; returns the names written and the messages about cases that could not be converted."""
    # A sum of thousands of terms is a deep tree. Python's own limit would refuse it; this one still ends a bad file.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20000))
    written, failed = [], []
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.json")):
        data = load(path) if path.is_file() else None
        if data is None:
            continue
        try:
            text = convert(data, path.stem)
        except CaseError as error:
            failed.append(f"{path.name}: {error}")
        except RecursionError:
            failed.append(f"{path.name}: a formula is nested too deep")
        else:
            (out / f"{path.stem}.toml").write_text(text, encoding="utf-8", newline="\n")
            written.append(path.stem)
    return written, failed


def main(arguments):
    """The command line; returns the exit code."""
    if len(arguments) != 2:
        print("usage: import_cases.py FOLDER OUT", file=sys.stderr)
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
