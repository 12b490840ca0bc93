"""Energies of nearest vertices and their gradient, in one pass each, in the order of operations of torch.

So the bits are those of ``numerics.distances.distance2``, ``functional.robust.geman_mcclure``, a product with
the weight, ``index_add``, and of what autograd makes of them.
"""

from __future__ import annotations

import numpy as np

from apu_losses.numerics.jit import kernel


@kernel
def edge_energies(verts_a, verts_b, row_a, row_b, index_a, index_b, weight, owner, robust, scale, steps, out):
    """Add ``weight * energy`` of each edge k to ``out[owner[k]]``; its difference a - b goes to ``steps[k]``.

    The energy is the squared distance d2, with ``robust`` ``scale d2 / (scale + d2)``; NaN, with a difference
    of zero, where an index is below zero.
    """
    for k in range(len(row_a)):
        if index_a[k] < 0:
            steps[k, 0] = steps[k, 1] = steps[k, 2] = np.float32(0)
            out[owner[k]] += np.float32(np.nan)
            continue
        x = verts_a[row_a[k], index_a[k], 0] - verts_b[row_b[k], index_b[k], 0]
        y = verts_a[row_a[k], index_a[k], 1] - verts_b[row_b[k], index_b[k], 1]
        z = verts_a[row_a[k], index_a[k], 2] - verts_b[row_b[k], index_b[k], 2]
        steps[k, 0] = x
        steps[k, 1] = y
        steps[k, 2] = z
        energy = (x * x + y * y) + z * z
        if robust:
            energy = scale * energy / (scale + energy)
        out[owner[k]] += energy * weight[k]


@kernel
def edge_energies_gradient(
    steps, row_a, row_b, index_a, index_b, weight, owner, robust, scale, gradient, wanted_a, wanted_b,
    out_a, out_b,
):  # fmt: skip
    """Add the gradient of the energies, for ``gradient[owner[k]]``, to the two vertices of each edge."""
    for k in range(len(row_a)):
        if index_a[k] < 0:
            continue
        slope = gradient[owner[k]] * weight[k]
        if robust:
            x = steps[k, 0]
            y = steps[k, 1]
            z = steps[k, 2]
            squared = (x * x + y * y) + z * z
            whole = scale + squared
            slope = slope / whole * scale + -slope * (scale * squared / whole / whole)
        for c in range(3):
            half = slope * steps[k, c]
            if wanted_a:
                out_a[row_a[k], index_a[k], c] += half + half
            if wanted_b:
                out_b[row_b[k], index_b[k], c] -= half + half
