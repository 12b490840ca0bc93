"""Path composition by doubling, against walking the tree joint by joint."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.numerics.rotations import rotation_matrix


def walk(
    parents: list[int], rotations: torch.Tensor, rest: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    world: dict[int, torch.Tensor] = {}
    place: dict[int, torch.Tensor] = {}
    while len(world) < len(parents):
        for j, p in enumerate(parents):
            if j in world or (p >= 0 and p not in world):
                continue
            if p < 0:
                world[j], place[j] = rotations[j], rest[j]
            else:
                world[j] = world[p] @ rotations[j]
                place[j] = place[p] + world[p] @ (rest[j] - rest[p])
    order = range(len(parents))
    return torch.stack([world[j] for j in order]), torch.stack([place[j] for j in order])


@pytest.mark.parametrize("size", [1, 2, 7, 55])
@pytest.mark.parametrize("shape", ["chain", "random", "shuffled", "forest"])
def test_equals_walking_the_tree(size: int, shape: str) -> None:
    rng = np.random.default_rng(size)
    parents = [-1] + [j - 1 if shape == "chain" else int(rng.integers(0, j)) for j in range(1, size)]
    if shape == "forest" and size > 2:
        parents[size // 2] = -1
    if shape == "shuffled":
        order = rng.permutation(size)
        moved = [0] * size
        for j, p in enumerate(parents):
            moved[order[j]] = -1 if p < 0 else int(order[p])
        parents = moved
    rotations = rotation_matrix(torch.tensor(rng.normal(size=(3, size, 3))))
    rest = torch.tensor(rng.normal(size=(3, size, 3)))
    world, place = KinematicTree(parents).world_transforms(rotations, rest)
    for n in range(3):
        expected = walk(parents, rotations[n], rest[n])
        torch.testing.assert_close(world[n], expected[0])
        torch.testing.assert_close(place[n], expected[1])


@pytest.mark.parametrize("parents", [[-1, 2, 1], [0], [-1, 3, 1, 2]])
def test_a_cycle_is_refused(parents: list[int]) -> None:
    with pytest.raises(ValueError, match="cycle"):
        KinematicTree(parents)


def test_a_parent_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[-1, 2\)"):
        KinematicTree([-1, 5])
