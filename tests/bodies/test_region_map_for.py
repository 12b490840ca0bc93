"""Every body gets a region map, which says how it came about."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from apu_contacts.regions import RegionMap
from apu_losses.bodies import LinearBlendBody, load_body
from apu_losses.bodies.families import SMPL, SMPLH, SMPLX, Family
from apu_losses.bodies.region_map import region_map_for


def free_body_as(family: Family, path: Path) -> np.ndarray:
    """The free body with another family's joints and fewer vertices; returns the free body's vertex ids."""
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        free = dict(np.load(file))
    rng = np.random.default_rng(0)
    needed = (free["J_regressor"] != 0).any(0)
    order = rng.permutation(np.flatnonzero(needed | (rng.random(len(needed)) < 0.7)))
    place = np.full(len(needed), -1)
    place[order] = np.arange(len(order))
    faces = place[free["f"].astype(int)]
    index = {name: i for i, name in enumerate(family.joint_names)}
    weights = np.zeros((len(order), len(index)))
    for old, name in enumerate(SMPLX.joint_names):
        home = name
        if home not in index:
            side = name.split("_")[0]
            home = "head" if name == "jaw" or "eye" in name else f"{side}_hand"
        weights[:, index[home]] += free["weights"][order, old]
    stands_for = {"left_hand": "left_middle1", "right_hand": "right_middle1"}
    rows = [SMPLX.joint_names.index(stands_for.get(name, name)) for name in family.joint_names]
    parents = [SMPLX.joint_names[p] for p in free["kintree_table"][0].astype(np.int64)[1:23]]
    tree = [0, *(family.joint_names.index(p) for p in parents[: len(index) - 1] if p in index)]
    tree = (tree + [20] * len(index))[: len(index)]
    np.savez(
        path,
        v_template=free["v_template"][order],
        f=faces[(faces >= 0).all(1)],
        shapedirs=free["shapedirs"][order][:, :, :10],
        weights=weights,
        J_regressor=free["J_regressor"][rows][:, order],
        kintree_table=np.stack([tree, np.arange(len(index))]),
        **{key: value for key, value in free.items() if key.startswith("hands_")},
    )
    return order


@pytest.mark.parametrize("family", [SMPL, SMPLH], ids=lambda family: family.name)
def test_smpl_and_smplh_get_the_free_bodys_regions(family: Family, tmp_path: Path) -> None:
    order = free_body_as(family, tmp_path / "BODY.npz")
    body = load_body(tmp_path / "BODY.npz")
    with pytest.warns(UserWarning, match=r"transferred from the free body .* vertices are unsure"):
        regions = region_map_for(body)
    assert regions.kind == "transferred" and regions.topology == family.name and (regions.sizes > 0).all()
    assert "by closest surface in a common pose" in regions.provenance
    expected = RegionMap.load("free").labels()[order]
    assert (regions.labels() == expected).mean() > 0.99


def test_the_others_say_what_they_are() -> None:
    free = load_body()
    assert region_map_for(free).kind == "derived"
    renamed = LinearBlendBody(free.data.__class__(**{**free.data.__dict__, "name": "other"}))
    with pytest.warns(UserWarning, match="approximate"):
        assert region_map_for(renamed).kind == "derived"
