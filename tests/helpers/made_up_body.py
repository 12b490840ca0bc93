"""A small made-up body in the full SMPL-X file layout; imported by the tests beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from apu_losses.bodies.smplx_format import JOINT_NAMES

VERTICES = 600
# facts of the SMPL-X skeleton, typed here a second time so that the reader's own table is checked
# fmt: off
PARENTS = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)
# fmt: on


def made_up_arrays(
    *,
    vertices: int = VERTICES,
    directions: int = 20,
    seed: int = 0,
    influences: int = 5,
    parents: tuple[int, ...] = PARENTS,
) -> dict[str, Any]:
    """Arrays with the keys, shapes and types of an official file; the values mean nothing."""
    rng = np.random.default_rng(seed)
    count = len(parents)
    template = rng.uniform(-1, 1, (vertices, 3)) * [0.8, 0.85, 0.15]
    weights = np.zeros((vertices, count))
    for row in weights:
        row[rng.choice(count, influences, replace=False)] = rng.dirichlet(np.ones(influences))
    regressor = np.zeros((count, vertices))
    for row in regressor:
        row[rng.choice(vertices, 12, replace=False)] = rng.dirichlet(np.ones(12))
    posedirs = rng.normal(size=(vertices, 3, 9 * (count - 1))) * 2e-3
    posedirs[rng.random(vertices) < 0.4] = 0
    faces = rng.integers(0, vertices, (300, 3)).astype(np.uint32)
    tree = np.stack([np.array(parents), np.arange(count)])
    tree[0, 0] = 2**32 - 1
    hands = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    return {
        "v_template": template,
        "f": faces,
        # smooth over the body, as real directions are
        "shapedirs": np.einsum("vi,ids->vds", template, rng.normal(size=(3, 3, directions)) * 0.03),
        "posedirs": posedirs,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": tree,
        "hands_componentsl": hands,
        "hands_componentsr": hands[::-1].copy(),
        "hands_meanl": rng.normal(size=45) * 0.1,
        "hands_meanr": rng.normal(size=45) * 0.1,
        "lmk_faces_idx": rng.integers(0, 300, 51).astype(np.int32),
        "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, 300, (79, 17)).astype(np.int32),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
        "joint2num": np.array({name: i for i, name in enumerate(JOINT_NAMES)}, dtype=object),
    }


def random_parameters(
    body: Any, rows: int, seed: int = 0, scale: float = 0.4, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Normal values for every parameter of a body."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale
        * torch.randn(rows, spec.size, generator=generator, dtype=torch.float64).to(dtype or body.dtype)
        for name, spec in body.parameter_specs.items()
    }


def as_smplx(params: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same parameters as the smplx package wants them: age is the last beta."""
    rest = {name: value for name, value in params.items() if name != "age"}
    if "age" in params:
        rest["betas"] = torch.cat([params["betas"], params["age"]], 1)
    return rest
