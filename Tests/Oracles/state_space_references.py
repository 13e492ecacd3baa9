"""HiPPO matrices and discretisations from their formulas, in double precision and in fractions.

Written from the papers' definitions; nothing is taken from any implementation.
"""

from fractions import Fraction

import numpy as np
from numpy.polynomial import legendre
from scipy import linalg


def norms(order):
    return np.sqrt(2 * np.arange(order) + 1.0)


def legs(order, form="paper"):
    """A and B of x' = (A x + B u) / t."""
    n = np.arange(order)
    if form == "integer":
        a = -np.where(n[:, None] > n, 2 * n[:, None] + 1, np.where(n[:, None] == n, n + 1, 0)).astype(float)
        return a, 2 * n + 1.0
    r = norms(order)
    a = -np.where(n[:, None] > n, np.outer(r, r), np.where(n[:, None] == n, n + 1, 0))
    return a, r * (np.sqrt(2) if form == "blog" else 1)


def legt(order, form="paper", window=1.0):
    """A and B of the sliding window."""
    n = np.arange(order)
    signs = np.where(n[:, None] > n, 1.0, (-1.0) ** (n[:, None] - n))
    if form in ("integer", "lmu"):
        flips = (-1.0) ** n if form == "lmu" else np.ones(order)
        a = -(2 * n[:, None] + 1) * signs / window
        return flips[:, None] * a * flips, flips * (2 * n + 1) / window
    r = norms(order)
    return -np.outer(r, r) * signs / window, r * (np.sqrt(2) if form == "blog" else 1) / window


def fout(order, window=1.0):
    """HiPPO-FouT, real, states (cos 0, sin 0, cos 1, sin 1, ...)."""
    a = np.zeros((order, order))
    for k in range(order // 2):
        a[2 * k, 2 * k + 1], a[2 * k + 1, 2 * k] = -2 * np.pi * k, 2 * np.pi * k
    b = np.zeros(order)
    b[::2] = np.sqrt(2)
    b[0] = 1
    return (a - 2 * np.outer(b, b)) / window, 2 * b / window


def lagt(order, tilt=0.0):
    return -np.tril(np.ones((order, order)), -1) - (1 + tilt) / 2 * np.eye(order), np.ones(order)


def fourier_window(order, window=1.0):
    n = np.arange(order) - order // 2
    return (np.diag(2j * np.pi * n) - 1) / window, np.full(order, 1 / window, complex)


def fourier_full(order):
    n = np.arange(order) - order // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(n[:, None] == n, 1j * np.pi * n - 1, -n[:, None] / (n[:, None] - n))
    return a, np.ones(order, complex)


def s4d(kind, order):
    """One of each conjugate pair."""
    n = np.arange(order // 2)
    if kind == "lin":
        return -0.5 + 1j * np.pi * n
    if kind == "inv":
        return -0.5 + 1j * order / np.pi * (order / (2 * n + 1) - 1)
    if kind == "real":
        return -(n + 1.0) + 0j
    a, _ = legs(order)
    p = np.sqrt(np.arange(order) + 0.5)
    values = np.linalg.eigvals(a + np.outer(p, p))
    return values[values.imag > 0]


def legs_weights(convention, k):
    """(explicit, implicit, input) of the step from k samples to k + 1."""
    return {
        "paper": (1 / (2 * k), 1 / (2 * (k + 1)), 1 / k) if k else None,
        "trap": (1 / (2 * k), 1 / (2 * (k + 1)), (1 / k + 1 / (k + 1)) / 2) if k else None,
        "hippo-c": (1 / (2 * k), 1 / (2 * k), 1 / k) if k else None,
        "hippo-py": (1 / (2 * (k + 1)), 1 / (2 * (k + 1)), 1 / (k + 1)),
    }[convention]


def legs_step(a, b, convention, k):
    """A_bar and B_bar by dense solves; `optimal` by scipy's exponential."""
    order = len(a)
    if convention == "optimal":
        block = np.zeros((order + 1, order + 1))
        block[:order, :order], block[:order, order] = a, b
        e = linalg.expm(block * np.log1p(1 / k))
        return e[:order, :order], e[:order, order]
    explicit, implicit, weight = legs_weights(convention, k)
    inverse = np.linalg.inv(np.eye(order) - implicit * a)
    return inverse @ (np.eye(order) + explicit * a), inverse @ (weight * b)


def legs_states(signal, order, convention, form="paper"):
    """The states after each sample, from u_0 e_0 (hippo-py: from its step K = 0)."""
    a, b = legs(order, form)
    first = np.zeros(order)
    first[0] = np.sqrt(2) if form == "blog" else 1
    states = []
    for k, sample in enumerate(signal):
        if k == 0 and convention != "hippo-py":
            states.append(sample * first)
            continue
        a_bar, b_bar = legs_step(a, b, convention, k)
        states.append(a_bar @ (states[-1] if states else np.zeros(order)) + b_bar * sample)
    return np.array(states)


def legs_projection(signal, order):
    """Legendre coefficients (paper) of the step function on [0, 1], by exact integrals: no recursion."""
    edges = 2 * np.arange(len(signal) + 1) / len(signal) - 1
    coefficients = []
    for n in range(order):
        integral = legendre.legval(edges, legendre.legint(np.eye(order)[n]))
        coefficients.append(norms(order)[n] / 2 * np.dot(signal, np.diff(integral)))
    return np.array(coefficients)


def legs_exact_fractions(order, k):
    """The exact step in integer form: A_bar and B_bar as Fractions.

    On [0, 1] the past fills [0, r], r = k / (k+1): integrate P_j(2y/r - 1) P_n(2y - 1) over it, monomial by monomial.
    """
    r = Fraction(k, k + 1)
    polynomials = shifted_legendre(order)
    a = [[Fraction(0)] * order for _ in range(order)]
    for n in range(order):
        for j in range(order):
            total = Fraction(0)
            for p, c in enumerate(polynomials[j]):
                for q, d in enumerate(polynomials[n]):
                    # The old piece in x = y / r: r * r^q times the integral of x^(p+q).
                    total += c * d * r ** (q + 1) / (p + q + 1)
            a[n][j] = (2 * n + 1) * total
    b = [(1 if n == 0 else 0) - a[n][0] for n in range(order)]
    return a, b


def shifted_legendre(order):
    """Coefficients of P_n(2x - 1), the constant first, as Fractions."""
    polynomials = [[Fraction(1)], [Fraction(-1), Fraction(2)]]
    for n in range(1, order):
        following = [Fraction(0)] * (n + 2)
        for i, c in enumerate(polynomials[n]):
            following[i] -= Fraction(2 * n + 1, n + 1) * c
            following[i + 1] += 2 * Fraction(2 * n + 1, n + 1) * c
        for i, c in enumerate(polynomials[n - 1]):
            following[i] -= Fraction(n, n + 1) * c
        polynomials.append(following)
    return polynomials[:order]


def outputs(tessera, verb, out, load):
    """Runs `tessera ssm VERB FILE …`; gives what it writes, read by `load`, or the error where a code is expected."""

    def run(path, *options, code=0):
        result = tessera("ssm", verb, path, *options, "-o", out, code=code)
        return result.stderr if code else load(out)

    return run
