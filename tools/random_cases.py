#!/usr/bin/env python3
"""Random small bilevel problems with reference answers, as JSON cases for tools/import_cases.py.

    python3 tools/random_cases.py KIND SEED COUNT OUT

KIND is one of

* ``linear``: linear leader and follower, coupled constraints of both levels;
* ``linear-quadratic``: a linear leader, a convex quadratic follower (its Hessian sometimes singular);
* ``quadratic``: a convex quadratic leader too;
* ``nonconvex``: one variable each, a follower of polynomials, sines or exponentials, sometimes coupled.

The first three have 1 to 3 variables a level. Their reference enumerates the sets of active constraints of the follower's
optimality conditions (multipliers on at most m independent gradients suffice) and solves the leader's programme on each.
That of the last kind is a grid in x with the follower's local minima on a grid in y, both refined. A case without a
bilevel-feasible point expects "infeasible". Needs numpy and scipy.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import linprog, minimize

HIGH = 10.0


def affine(coefficients, names, constant=0.0):
    terms = [f"({float(a):.6g})*{name}" for a, name in zip(coefficients, names) if a != 0]
    return " + ".join(terms + [f"({float(constant):.6g})"])


def quadratic(matrix, names):
    terms = []
    for i, j in itertools.combinations_with_replacement(range(len(names)), 2):
        a = matrix[i, j] / 2 if i == j else matrix[i, j]
        if a != 0:
            terms.append(f"({a:.6g})*{names[i]}*{names[j]}")
    return " + ".join(terms) or "0"


def least_on_piece(hessian, linear, eq, eq_right, ub, ub_right, bounds):
    """The least of a convex quadratic over a polyhedron, and the point; None where there is none."""
    first = linprog(linear, ub, ub_right, eq, eq_right, bounds, method="highs")
    if first.status == 3:
        first = linprog(0 * linear, ub, ub_right, eq, eq_right, bounds, method="highs")
    if first.status != 0:
        return None
    z0 = first.x
    objective = lambda z: 0.5 * z @ hessian @ z + linear @ z
    best = (objective(z0), z0)
    if not hessian.any():
        return best
    low = np.array([-np.inf if b[0] is None else b[0] for b in bounds])
    high = np.array([np.inf if b[1] is None else b[1] for b in bounds])
    one = np.eye(len(z0))
    rows = np.vstack([ub, -one[np.isfinite(low)], one[np.isfinite(high)]])
    right = np.concatenate([ub_right, -low[np.isfinite(low)], high[np.isfinite(high)]])
    _, singular, vt = np.linalg.svd(eq)
    basis = vt[(singular > 1e-9).sum() :].T
    if basis.shape[1] == 0:
        return best
    reduced, slope = basis.T @ hessian @ basis, basis.T @ (hessian @ z0 + linear)
    normals, slack = rows @ basis, right - rows @ z0
    kept = np.abs(normals).max(1) > 1e-10
    normals, slack = normals[kept], np.maximum(slack[kept], 0)
    found = minimize(
        lambda t: 0.5 * t @ reduced @ t + slope @ t,
        np.zeros(basis.shape[1]),
        jac=lambda t: reduced @ t + slope,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
        constraints=[{"type": "ineq", "fun": lambda t: slack - normals @ t, "jac": lambda t: -normals}],
    )
    z = z0 + basis @ found.x
    if (rows @ z - right).max(initial=-1) < 1e-6 and objective(z) < best[0]:
        best = (objective(z), z)
    return best


def by_active_sets(n, m, upper, lower, follower, leader):
    """The optimistic value of a (quadratic) problem whose follower is convex with affine constraints >= 0."""
    (q_upper, c_upper), (q, coupling, c) = upper, lower
    (a, b, right), (a_up, b_up, right_up) = follower, leader
    count, width, best = len(right), n + m, np.inf
    for size in range(m + 1):
        for active in map(list, itertools.combinations(range(count), size)):
            total = width + size
            eq, eq_right = np.zeros((m + size, total)), np.zeros(m + size)
            eq[:m, :n], eq[:m, n:width], eq_right[:m] = coupling, q, -c
            eq[:m, width:] = -b[active].T
            eq[m:, :n], eq[m:, n:width], eq_right[m:] = a[active], b[active], -right[active]
            ub = np.zeros((count + len(right_up), total))
            ub[:count, :n], ub[:count, n:width] = -a, -b
            ub[count:, :n], ub[count:, n:width] = -a_up, -b_up
            bounds = [(0, HIGH)] * n + [(None, None)] * m + [(0, None)] * size
            hessian = np.zeros((total, total))
            hessian[:width, :width] = q_upper
            linear = np.concatenate([c_upper, np.zeros(size)])
            found = least_on_piece(hessian, linear, eq, eq_right, ub, np.concatenate([right, right_up]), bounds)
            best = min(best, found[0]) if found else best
    return best


def convex_case(kind, seed, k):
    rng = np.random.default_rng([seed, k, len(kind)])
    two = lambda v: np.round(v, 2)
    n, m, p, q = (int(rng.integers(*r)) for r in ((1, 4), (1, 4), (2, 6), (0, 3)))
    x, y = rng.uniform(1, 5, n), rng.uniform(1, 5, m)
    a, b = two(rng.normal(size=(p, n)) * (rng.random((p, n)) < 0.8)), two(rng.normal(size=(p, m)) * 2)
    right = two(-(a @ x + b @ y) + rng.uniform(0.2, 4, p))
    a_all = np.vstack([a, np.zeros((2 * m, n))])
    b_all = np.vstack([b, np.eye(m), -np.eye(m)])
    right_all = np.concatenate([right, np.zeros(m), np.full(m, HIGH)])
    a_up, b_up = two(rng.normal(size=(q, n))), two(rng.normal(size=(q, m)))
    right_up = two(-(a_up @ x + b_up @ y) + rng.uniform(0.5, 6, q))
    names = [f"x{i + 1}" for i in range(n)] + [f"y{i + 1}" for i in range(m)]
    c_upper, c = two(rng.normal(size=n + m) * 3), two(rng.normal(size=m) * 2)
    q_upper, hessian, coupling = np.zeros((n + m, n + m)), np.zeros((m, m)), np.zeros((m, n))
    if kind != "linear":
        rank = m if rng.random() < 0.7 else max(1, m - 1)
        root = np.round(rng.normal(size=(m, rank)), 1)
        hessian, coupling = root @ root.T + (0.3 * np.eye(m) if rank == m else 0), two(rng.normal(size=(m, n)))
    if kind == "quadratic":
        root = np.round(rng.normal(size=(n + m, n + m)) * 0.7, 1)
        q_upper = root @ root.T + 0.1 * np.eye(n + m)
        c_upper = -two(q_upper @ rng.uniform(-2, 8, n + m))
    products = [
        f"({coupling[i, j]:.6g})*x{j + 1}*y{i + 1}" for i in range(m) for j in range(n) if coupling[i, j] != 0
    ]
    value = by_active_sets(
        n, m, (q_upper, c_upper), (hessian, coupling, c), (a_all, b_all, right_all), (a_up, b_up, right_up)
    )
    box = lambda name: [name, f"{HIGH:g} - {name}"]
    rows = lambda a, b, right: [affine([*a[i], *b[i]], names, right[i]) for i in range(len(right))]
    return value, {
        "n": n,
        "m": m,
        "F": f"{affine(c_upper, names)} + {quadratic(q_upper, names)}",
        "f": " + ".join([affine(c, names[n:]), quadratic(hessian, names[n:]), *products]),
        "G": sum(map(box, names[:n]), []) + rows(a_up, b_up, right_up),
        "g": rows(a, b, right) + sum(map(box, names[n:]), []),
        "x0": [HIGH / 2] * n,
        "y0": [HIGH / 2] * m,
    }


class Grid:
    """The optimistic value of a problem with one variable each in [-2, 2], by grids that are refined."""

    FUNCTIONS = {"sin": np.sin, "cos": np.cos, "exp": np.exp}
    TIE = 1e-9

    def __init__(self, case):
        compiled = lambda text: compile(text.replace("^", "**"), text, "eval")
        self.upper, self.lower = compiled(case["F"]), compiled(case["f"])
        self.leader = [compiled(row) for row in case["G"]]
        self.follower = [compiled(row) for row in case["g"]]

    def at(self, code, x, y):
        return eval(code, {**self.FUNCTIONS, "x1": x, "y1": y}) + 0 * x + 0 * y

    def lower_at(self, x, y):
        values = self.at(self.lower, x, y)
        for row in self.follower:
            values = np.where(self.at(row, x, y) >= -1e-9, values, np.inf)
        return values

    def phi(self, xs, points=1601):
        y = np.linspace(-2, 2, points)[None, :]
        f = self.lower_at(xs[:, None], y)
        padded = np.pad(f, ((0, 0), (1, 1)), constant_values=np.inf)
        i, j = np.nonzero((f <= padded[:, :-2]) & (f <= padded[:, 2:]) & np.isfinite(f))
        best, at, width = f[i, j], y[0, j], 4 / (points - 1)
        for _ in range(8):
            trial = np.clip(at[:, None] + np.linspace(-width, width, 21)[None, :], -2, 2)
            values = self.lower_at(xs[i][:, None], trial)
            k = values.argmin(1)
            least = values[np.arange(len(k)), k]
            at = np.where(least < best, trial[np.arange(len(k)), k], at)
            best, width = np.minimum(best, least), width / 8
        v = np.full(len(xs), np.inf)
        np.minimum.at(v, i, best)
        fine = best <= v[i] + self.TIE * (1 + abs(v[i]))
        for row in self.leader:
            fine &= self.at(row, xs[i], at) >= -1e-6
        out = np.full(len(xs), np.inf)
        np.minimum.at(out, i, np.where(fine, self.at(self.upper, xs[i], at), np.inf))
        return out

    def value(self, points=2401):
        xs = np.linspace(-2, 2, points)
        values = self.phi(xs)
        best = values.min()
        for k in np.argsort(values)[:6]:
            centre, width = xs[k], 4 / (points - 1)
            for _ in range(5 if np.isfinite(values[k]) else 0):
                near = np.clip(np.linspace(centre - width, centre + width, 41), -2, 2)
                found = self.phi(near)
                best, centre, width = min(best, found.min()), near[found.argmin()], width / 10
        return best


def nonconvex_case(seed, k):
    rng = np.random.default_rng([seed, k])
    u = lambda low, high: f"({float(np.round(rng.uniform(low, high), 2))})"
    follower = [
        lambda: f"{u(0.2, 1)}*y1^4 + {u(-1, 1)}*y1^3 + {u(-2, 0.3)}*y1^2 + {u(-1.5, 1.5)}*x1*y1 + {u(-1, 1)}*y1",
        lambda: f"sin({u(1.5, 5)}*y1 + {u(-1, 1)}*x1) + {u(0.05, 0.4)}*(y1 - {u(-1, 1)}*x1)^2",
        lambda: f"-exp(-{u(0.5, 3)}*(y1 - {u(-1, 1)}*x1 - {u(0.5, 1.5)})^2)"
        f" - ({u(0.6, 1.3)} + {u(-0.3, 0.3)}*x1)*exp(-{u(0.5, 3)}*(y1 + {u(0.5, 1.5)})^2)",
        lambda: f"{u(-1, 1)}*x1*y1^2 + {u(-0.6, 0.6)}*y1^3 + {u(-1, 1)}*y1 + cos({u(1, 4)}*y1)",
    ][k % 4]()
    leader = [
        lambda: f"(x1 - {u(-2, 2)})^2 + {u(0.3, 2)}*(y1 - {u(-2, 2)})^2",
        lambda: f"{u(-2, 2)}*x1 + {u(-2, 2)}*y1 + {u(0.1, 0.5)}*y1^2",
        lambda: f"x1*y1 + {u(-1, 1)}*y1^2 + {u(-1, 1)}*x1",
    ][int(rng.integers(3))]()
    case = {"n": 1, "m": 1, "F": leader, "f": follower, "G": ["x1 + 2", "2 - x1"], "g": ["y1 + 2", "2 - y1"]}
    if rng.random() < 0.5:
        rows = [
            lambda: f"y1 - {u(-1, 0.3)}*x1 + {u(0.3, 1.5)}",
            lambda: f"{u(1, 2)} - y1 - {u(-0.6, 0.6)}*x1^2",
            lambda: f"{u(1, 3)} - y1^2 - {u(-0.5, 0.5)}*x1*y1",
        ]
        case["g"].append(rows[int(rng.integers(3))]())
    if rng.random() < 0.3:
        case["G"].append(f"{u(0.3, 2)} - {u(-1, 1)}*x1 - {u(-1, 1)}*y1")
    return Grid(case).value(), {**case, "x0": [0.0], "y0": [0.0]}


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    kind, seed, count, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    if kind not in ("linear", "linear-quadratic", "quadratic", "nonconvex"):
        sys.exit(__doc__)
    out.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        value, case = nonconvex_case(seed, k) if kind == "nonconvex" else convex_case(kind, seed, k)
        name = f"{kind.replace('-', '_')}_{seed}_{k:03}"
        known = {"target_F": float(value)} if np.isfinite(value) else {"expect": "infeasible"}
        case = {"name": name, "source": "tools/random_cases.py", **case, **known, "tags": [kind]}
        (out / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    main()
