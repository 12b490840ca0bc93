"""The free body exported again as another body of the same people: fewer vertices, in another order, another
mean person, another basis of shapes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np


def other_body(path: Path, *, seed: int = 0) -> Any:
    """Write the body; returns the free body's vertex id of each of its vertices."""
    rng = np.random.default_rng(seed)
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        free = dict(np.load(file))
    count = len(free["v_template"])
    needed = (free["J_regressor"] != 0).any(0)
    order = rng.permutation(np.flatnonzero(needed | (rng.random(count) < 0.6)))
    place = np.full(count, -1)
    place[order] = np.arange(len(order))
    faces = place[free["f"].astype(int)]
    shapes = free["shapedirs"][:, :, :10].astype(float)
    mean = free["v_template"] + shapes @ np.array([0.5, -0.8, 0.4, 0.3, 0, 0, 0.5, 0, 0, -0.5])
    basis = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    np.savez(
        path,
        v_template=mean[order],
        f=faces[(faces >= 0).all(1)],
        shapedirs=(shapes @ basis)[order],
        kid_template=free["kid_template"][order],
        **{key: free[key][order] for key in ("weights", "posedirs")},
        J_regressor=free["J_regressor"][:, order],
        **{key: free[key] for key in free if key.startswith(("hands_", "kintree"))},
    )
    return order
