"""Batches of samples with contact maps, as data loaders make them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from map_samples import MAPS, Maps
from torch.utils.data import DataLoader, default_collate

from apu_contacts import ContactMap
from apu_losses import collate_contacts


class Sample(NamedTuple):
    touch: ContactMap
    points: torch.Tensor


def test_maps_stay_a_list_and_are_the_same_objects():
    assert all(a is b for a, b in zip(collate_contacts(MAPS), MAPS, strict=True))


def test_what_torch_can_collate_is_what_torch_makes_of_it():
    samples = [
        {
            "x": torch.full((2, 3), float(n)),
            "y": np.arange(3) + n,
            "n": n,
            "f": 0.5 * n,
            "b": n > 0,
            "name": f"s{n}",
        }
        for n in range(3)
    ]
    ours, theirs = collate_contacts(samples), default_collate(samples)
    assert ours.keys() == theirs.keys() and ours["name"] == theirs["name"]
    for name in ("x", "y", "n", "f", "b"):
        assert ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name])


def test_nested_and_ragged():
    samples = [
        (Sample(cmap, torch.ones(n + 1, 2)), {"ids": np.arange(n), "extra": None, "boxes": [[1.0, 2.0]] * n})
        for n, cmap in enumerate(MAPS)
    ]
    sample, rest = collate_contacts(samples)
    assert isinstance(sample, Sample) and sample.touch == MAPS
    assert [tuple(p.shape) for p in sample.points] == [(1, 2), (2, 2), (3, 2)]
    assert [len(ids) for ids in rest["ids"]] == [0, 1, 2]
    assert rest["extra"] == [None] * 3 and rest["boxes"] == [[], [[1.0, 2.0]], [[1.0, 2.0]] * 2]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], "samples must have at least one"),
        ([{"a": 1}, {"b": 1}], r"samples must have the same keys in all samples, got \['a'\] in sample 0"),
        ([{"a": (1, 2)}, {"a": (1,)}], r"samples\['a'\] must have the same length"),
        (
            [{"a": 1.0}, {"a": "one"}],
            r"samples\['a'\] must be of one type in all samples, got float in sample 0 and str in sample 1",
        ),
        (
            [Sample(MAPS[0], torch.ones(2)), Sample(MAPS[0], torch.ones(2).int())],
            r"samples.points must have one dtype",
        ),
    ],
)
def test_samples_that_are_not_alike_are_named(samples, said):
    with pytest.raises(ValueError, match=said):
        collate_contacts(samples)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_hand_over_maps_that_are_equal_and_immutable(method):
    context = {"multiprocessing_context": method, "num_workers": 1}
    (batch,) = DataLoader(Maps(), batch_size=3, collate_fn=collate_contacts, **context)
    assert batch["touch"] == MAPS and batch["number"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        batch["touch"][0].pairs[0] = 0
