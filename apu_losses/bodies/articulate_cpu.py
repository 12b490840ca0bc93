"""Compiled forward kinematics for the CPU: axis-angle in, joint transforms out, and the way back.

``articulate.py`` holds the plain PyTorch twin and decides which of the two runs. Sums are in float64 whatever
the type of the arrays. Bodies are independent: rows start..stop, one after the other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_losses.numerics.jit import kernel

Array = NDArray[Any]
_SERIES_BELOW = 1e-3  # squared angle


@kernel
def _coefficients(q: float) -> tuple[float, float, float, float]:
    """sin(t)/t and (1 - cos t)/t^2 for t^2 = q, and their derivatives by q."""
    if q < _SERIES_BELOW:
        a = 1 - q / 6 * (1 - q / 20 * (1 - q / 42))
        b = 0.5 - q / 24 * (1 - q / 30 * (1 - q / 56))
        da = -1 / 6 + q / 60 * (1 - q / 28 * (1 - q / 54))
        db = -1 / 24 + q / 360 * (1 - q / 37.333333333333336 * (1 - q / 67.5))
        return a, b, da, db
    angle = math.sqrt(q)
    half = math.sin(0.5 * angle)
    a = math.sin(angle) / angle
    b = 2 * half * half / q
    return a, b, (math.cos(angle) - a) / (2 * q), (0.5 * a - b) / q


@kernel
def _rotate(v: Array, r: Array) -> None:
    """Rodrigues' formula."""
    x, y, z = float(v[0]), float(v[1]), float(v[2])
    q = x * x + y * y + z * z
    a, b, _, _ = _coefficients(q)
    d = 1 - b * q
    r[0, 0], r[0, 1], r[0, 2] = d + b * x * x, b * x * y - a * z, b * x * z + a * y
    r[1, 0], r[1, 1], r[1, 2] = b * x * y + a * z, d + b * y * y, b * y * z - a * x
    r[2, 0], r[2, 1], r[2, 2] = b * x * z - a * y, b * y * z + a * x, d + b * z * z


@kernel
def _rotate_back(v: Array, g: Array, out: Array) -> None:
    """Gradient of the axis-angle vector from that of the matrix."""
    x, y, z = float(v[0]), float(v[1]), float(v[2])
    q = x * x + y * y + z * z
    a, b, da, db = _coefficients(q)
    trace = g[0, 0] + g[1, 1] + g[2, 2]
    ax, ay, az = g[2, 1] - g[1, 2], g[0, 2] - g[2, 0], g[1, 0] - g[0, 1]
    sx = 2 * g[0, 0] * x + (g[0, 1] + g[1, 0]) * y + (g[0, 2] + g[2, 0]) * z
    sy = (g[0, 1] + g[1, 0]) * x + 2 * g[1, 1] * y + (g[1, 2] + g[2, 1]) * z
    sz = (g[0, 2] + g[2, 0]) * x + (g[1, 2] + g[2, 1]) * y + 2 * g[2, 2] * z
    quadratic = 0.5 * (sx * x + sy * y + sz * z)
    radial = 2 * (da * (x * ax + y * ay + z * az) + db * (quadratic - q * trace) - b * trace)
    out[0] = radial * x + a * ax + b * sx
    out[1] = radial * y + a * ay + b * sy
    out[2] = radial * z + a * az + b * sz


@kernel
def _chain(
    vectors: Array, rest: Array, order: Array, parents: Array, local: Array, world: Array, at: Array
) -> None:
    """Local rotations, world rotations and positions of one body."""
    for j in order:
        p = parents[j]
        _rotate(vectors[j], local[j])
        for r in range(3):
            if p < 0:
                at[j, r] = rest[j, r]
                for c in range(3):
                    world[j, r, c] = local[j, r, c]
            else:
                moved = at[p, r]
                for k in range(3):
                    moved += world[p, r, k] * (float(rest[j, k]) - float(rest[p, k]))
                at[j, r] = moved
                for c in range(3):
                    total = 0.0
                    for k in range(3):
                        total += world[p, r, k] * local[j, k, c]
                    world[j, r, c] = total


@kernel
def forward(
    start: int, stop: int, vectors: Array, rest: Array, order: Array, parents: Array,
    transforms: Array, positions: Array, rotations: Array,
) -> None:  # fmt: skip
    """Fill transforms (N, J, 12), positions (N, J, 3) and local rotations (N, J, 3, 3)."""
    joints = len(order)
    local = np.empty((joints, 3, 3))
    world = np.empty((joints, 3, 3))
    at = np.empty((joints, 3))
    for n in range(start, stop):
        _chain(vectors[n], rest[n], order, parents, local, world, at)
        for j in range(joints):
            for r in range(3):
                offset = at[j, r]
                for c in range(3):
                    rotations[n, j, r, c] = local[j, r, c]
                    transforms[n, j, 4 * r + c] = world[j, r, c]
                    offset -= world[j, r, c] * float(rest[n, j, c])
                transforms[n, j, 4 * r + 3] = offset
                positions[n, j, r] = at[j, r]


@kernel
def backward(
    start: int, stop: int, vectors: Array, rest: Array, order: Array, parents: Array,
    grad_transforms: Array, grad_positions: Array, grad_rotations: Array,
    grad_vectors: Array, grad_rest: Array,
) -> None:  # fmt: skip
    """Fill the gradients of the vectors (N, J, 3) and of the rest joints (N, J, 3)."""
    joints = len(order)
    local = np.empty((joints, 3, 3))
    world = np.empty((joints, 3, 3))
    at = np.empty((joints, 3))
    g_world = np.empty((joints, 3, 3))
    g_at = np.empty((joints, 3))
    g_rest = np.empty((joints, 3))
    g_local = np.empty((3, 3))
    for n in range(start, stop):
        _chain(vectors[n], rest[n], order, parents, local, world, at)
        for j in range(joints):
            for c in range(3):
                g_rest[j, c] = 0.0
            for r in range(3):
                g = float(grad_transforms[n, j, 4 * r + 3])
                g_at[j, r] = g + float(grad_positions[n, j, r])
                for c in range(3):
                    g_world[j, r, c] = float(grad_transforms[n, j, 4 * r + c]) - g * float(rest[n, j, c])
                    g_rest[j, c] -= world[j, r, c] * g
        for i in range(joints - 1, -1, -1):
            j = order[i]
            p = parents[j]
            for r in range(3):
                for c in range(3):
                    g_local[r, c] = float(grad_rotations[n, j, r, c])
                    if p < 0:
                        g_local[r, c] += g_world[j, r, c]
                    else:
                        for k in range(3):
                            g_local[r, c] += world[p, k, r] * g_world[j, k, c]
                            g_world[p, r, c] += g_world[j, r, k] * local[j, c, k]
                        g_world[p, r, c] += g_at[j, r] * (float(rest[n, j, c]) - float(rest[n, p, c]))
            for c in range(3):
                if p < 0:
                    g_rest[j, c] += g_at[j, c]
                else:
                    back = 0.0
                    for k in range(3):
                        back += world[p, k, c] * g_at[j, k]
                    g_rest[j, c] += back
                    g_rest[p, c] -= back
                    g_at[p, c] += g_at[j, c]
            _rotate_back(vectors[n, j], g_local, grad_vectors[n, j])
        for j in range(joints):
            for c in range(3):
                grad_rest[n, j, c] = g_rest[j, c]
