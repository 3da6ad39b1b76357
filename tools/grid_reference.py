#!/usr/bin/env python3
"""Reference answers for the two problems with real data, by exhaustive search, independent of the solver.

    python3 tools/grid_reference.py elastic_net | lasso

The leader's box is covered by a grid (60 x 60, or 241 points). At each point the follower's problem is solved until
its optimality conditions hold to 1e-10: coordinate descent finds the nonzero weights and their signs, then Newton's
method on these alone gives them to rounding. The best grid points are refined by a pattern search. Only the standard
library is used. The numbers that it prints stand in `[known]` of the problem files.
"""

import csv
import math
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "problems" / "data"
TOLERANCE = 1e-10


def read(name, target, train):
    """Train and validation rows (X, y), columns scaled by mean and standard deviation (1/n) of the train rows."""
    with open(DATA / name, newline="") as file:
        rows = list(csv.DictReader(file))
    y = [float(row.pop(target)) for row in rows]
    columns = []
    for key in rows[0]:
        column = [float(row[key]) for row in rows]
        mean = math.fsum(column[:train]) / train
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in column[:train]) / train)
        columns.append([(v - mean) / deviation for v in column])
    X = [list(row) for row in zip(*columns)]
    return (X[:train], y[:train]), (X[train:], y[train:])


def dot(a, b):
    """Inner product."""
    return sum(u * v for u, v in zip(a, b))


def solve_linear(matrix, right):
    """Gaussian elimination with partial pivoting."""
    n = len(right)
    rows = [row[:] + [value] for row, value in zip(matrix, right)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            if factor:
                rows[i] = [u - factor * v for u, v in zip(rows[i], rows[k])]
    solution = [0.0] * n
    for k in reversed(range(n)):
        solution[k] = (rows[k][n] - dot(rows[k][k + 1:n], solution[k + 1:])) / rows[k][k]
    return solution


def soft(value, threshold):
    """Soft thresholding, the minimiser of (z - value)^2 / 2 + threshold |z|."""
    return math.copysign(max(abs(value) - threshold, 0.0), value)


def residual_of(gradient, w, penalty):
    """The largest violation of: gradient + penalty * subgradient of |w| contains 0."""
    return max(abs(g + math.copysign(penalty, v)) if v else max(abs(g) - penalty, 0.0) for g, v in zip(gradient, w))


def descend(quadratic, linear, penalty, w, sweeps):
    """Coordinate descent on w'Qw/2 - linear'w + sum penalty_j |w_j|, in place; returns the largest step."""
    for _ in range(sweeps):
        largest = 0.0
        for j, row in enumerate(quadratic):
            new = soft(linear[j] - dot(row, w) + row[j] * w[j], penalty[j]) / row[j]
            largest = max(largest, abs(new - w[j]))
            w[j] = new
        if largest < 1e-14:
            break
    return largest


class ElasticNet:
    """min over (w, b) of mean((X w + b - y)^2) + exp(l1) |w|_1 + exp(l2)/2 |w|^2; y in hundreds."""

    box = ([-6.0, -6.0], [0.5, 2.5])
    grid = (60, 60)

    def __init__(self):
        (self.X, y), (self.Xv, yv) = read("diabetes.csv", "progression", 300)
        n = len(y)
        y, self.yv = [v / 100 for v in y], [v / 100 for v in yv]
        # The columns have mean zero, so the best b is the mean of y whatever w is.
        self.b = math.fsum(y) / n
        columns = list(zip(*self.X))
        self.gram = [[2 * math.fsum(u * v for u, v in zip(a, b)) / n for b in columns] for a in columns]
        self.linear = [2 * math.fsum(u * (v - self.b) for u, v in zip(a, y)) / n for a in columns]
        self.w = [0.0] * len(columns)

    def follower(self, point):
        """The optimal weights at a point, warm-started at those of the last."""
        first, second = math.exp(point[0]), math.exp(point[1])
        Q = [[v + (second if i == j else 0.0) for j, v in enumerate(row)] for i, row in enumerate(self.gram)]
        w = self.w
        for _ in range(10000):
            descend(Q, self.linear, [first] * len(w), w, 5)
            support = [j for j, v in enumerate(w) if v]
            right = [self.linear[j] - math.copysign(first, w[j]) for j in support]
            exact = [0.0] * len(w)
            for j, v in zip(support, solve_linear([[Q[i][j] for j in support] for i in support], right)):
                exact[j] = v
            if all(exact[j] * w[j] > 0 for j in support):
                gradient = [dot(row, exact) - c for row, c in zip(Q, self.linear)]
                if residual_of(gradient, exact, first) < TOLERANCE:
                    self.w = exact
                    return exact
        raise ArithmeticError(f"no answer at {point}")

    def value(self, point):
        """The leader's objective: mean squared error on the validation rows."""
        w = self.follower(point)
        return math.fsum((dot(row, w) + self.b - v) ** 2 for row, v in zip(self.Xv, self.yv)) / len(self.yv)


class LassoLogistic:
    """min over (w, b) of mean(log(1 + exp(z)) - y z) + exp(l) |w|_1, z = X w + b."""

    box = ([-8.0], [-1.0])
    grid = (241,)

    def __init__(self):
        (X, self.y), (Xv, self.yv) = read("breast_cancer.csv", "benign", 400)
        # The offset is a last weight without a penalty.
        self.X, self.Xv = [row + [1.0] for row in X], [row + [1.0] for row in Xv]
        self.w = [0.0] * len(self.X[0])

    def derivatives(self, w, support):
        """Gradient of the mean loss, and its Hessian on the support."""
        n, size = len(self.y), len(w)
        gradient, hessian = [0.0] * size, [[0.0] * len(support) for _ in support]
        for row, label in zip(self.X, self.y):
            p = 1 / (1 + math.exp(-dot(row, w)))
            gradient = [g + (p - label) * v for g, v in zip(gradient, row)]
            part = [row[j] for j in support]
            for i, v in enumerate(part):
                weight = p * (1 - p) * v
                hessian[i] = [h + weight * u for h, u in zip(hessian[i], part)]
        return [g / n for g in gradient], [[h / n for h in row] for row in hessian]

    def follower(self, point):
        """The optimal weights: proximal Newton steps, with coordinate descent inside until the signs settle."""
        penalty, w, size = math.exp(point[0]), self.w, len(self.w)
        penalties = [penalty] * (size - 1) + [0.0]
        for _ in range(500):
            gradient, hessian = self.derivatives(w, list(range(size)))
            worst = max(residual_of(gradient[:-1], w[:-1], penalty), abs(gradient[-1]))
            if worst < TOLERANCE:
                self.w = w
                return w
            linear = [dot(row, w) - g for row, g in zip(hessian, gradient)]
            hessian = [[v + (1e-12 if i == j else 0.0) for j, v in enumerate(row)] for i, row in enumerate(hessian)]
            new = w[:]
            descend(hessian, linear, penalties, new, 2000)
            support = [j for j in range(size) if new[j] or j == size - 1]
            right = [linear[j] - (math.copysign(penalties[j], new[j]) if penalties[j] else 0.0) for j in support]
            exact = [0.0] * size
            for j, v in zip(support, solve_linear([[hessian[i][j] for j in support] for i in support], right)):
                exact[j] = v
            new = exact if all(exact[j] * new[j] > 0 for j in support[:-1]) else new
            w = self.damped(w, new, penalties)
        raise ArithmeticError(f"no answer at {point}: residual {worst}")

    def objective(self, w, penalties):
        """The follower's objective."""
        return loss(self.X, self.y, w) + sum(p * abs(v) for p, v in zip(penalties, w))

    def damped(self, w, new, penalties):
        """The first of the points new, half way, ... that does not raise the objective (beyond rounding)."""
        limit, step = self.objective(w, penalties) + 1e-14, 1.0
        while step > 1e-6:
            trial = [u + step * (v - u) if step < 1 else v for u, v in zip(w, new)]
            if self.objective(trial, penalties) <= limit:
                return trial
            step /= 2
        return new

    def value(self, point):
        """The leader's objective: mean logistic loss on the validation rows."""
        return loss(self.Xv, self.yv, self.follower(point))


def loss(X, y, w):
    """Mean logistic loss."""
    total = []
    for row, label in zip(X, y):
        z = dot(row, w)
        total.append(max(z, 0.0) + math.log1p(math.exp(-abs(z))) - label * z)
    return math.fsum(total) / len(y)


def grid_points(box, counts):
    """All points of the grid, neighbours one after the other."""
    if not counts:
        return [[]]
    low, high, count = box[0][0], box[1][0], counts[0]
    rest = grid_points((box[0][1:], box[1][1:]), counts[1:])
    ticks = [low + (high - low) * k / (count - 1) for k in range(count)]
    return [[tick] + tail for k, tick in enumerate(ticks) for tail in (rest if k % 2 == 0 else rest[::-1])]


def refine(problem, point, value, step):
    """Pattern search (axes and diagonals) from a point within the box."""
    size = len(point)
    directions = [[0.0] * size for _ in range(3 ** size)]
    for k, direction in enumerate(directions):
        for j in range(size):
            direction[j] = float(k // 3 ** j % 3 - 1)
    while step > 1e-10:
        for direction in directions:
            trial = [min(max(p + step * d, low), high) for p, d, low, high in zip(point, direction, *problem.box)]
            trial_value = problem.value(trial)
            if trial_value < value:
                point, value = trial, trial_value
                break
        else:
            step /= 2
    return value, point


def main(arguments):
    """The command line."""
    problem = {"elastic_net": ElasticNet, "lasso": LassoLogistic}[arguments[0]]()
    values = sorted((problem.value(point), point) for point in grid_points(problem.box, problem.grid))
    print(f"{len(values)} grid points in the box {problem.box}; the best:")
    for value, point in values[:5]:
        print(f"  F = {value!r} at {point}")
    step = max((h - l) / (c - 1) for l, h, c in zip(*problem.box, problem.grid))
    value, point = min(refine(problem, point, value, step) for value, point in values[:3])
    print(f"refined: F = {value!r} at {point}")
    print(f"follower: {problem.follower(point)}" + (f", b = {problem.b!r}" if hasattr(problem, "b") else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
