"""Per-vertex contacts of other tools' files, by the layouts in which they write them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from apu_contacts import SourceError
from apu_contacts.sources import hand_contacts_on_body, inspect_file, read_vertex_contacts

CHANCE = np.random.default_rng(0).uniform(0, 1, 10475)


def test_interactvlm_has_two_bodies(tmp_path: Path) -> None:
    file = tmp_path / "a_hcontact_vertices.npz"
    np.savez(file, pred_contact_3d_smplh=CHANCE[None, :6890], pred_contact_3d_smplx=CHANCE[None])
    with pytest.raises(SourceError, match="give key or vertex_count"):
        read_vertex_contacts(file)
    found = read_vertex_contacts(file, vertex_count=10475)
    assert found.body == "SMPL-X" and found.key == "pred_contact_3d_smplx"
    np.testing.assert_array_equal(found.probabilities, CHANCE)
    assert read_vertex_contacts(file, key="pred_contact_3d_smplh").body == "SMPL or SMPL-H"
    assert inspect_file(file).kind == "vertex_contacts"


def test_damon_has_many_pictures(tmp_path: Path) -> None:
    file = tmp_path / "hot_dca_test.npz"
    label = np.eye(3, 6890)
    np.savez(file, contact_label=label, imgname=np.array(["d/a.jpg", "d/b.jpg", "e/b.jpg"]))
    assert np.flatnonzero(read_vertex_contacts(file, row=2).labels()).tolist() == [2]
    assert np.flatnonzero(read_vertex_contacts(file, row="d/b.jpg").labels()).tolist() == [1]
    for row, said in ((None, "has 3 pictures"), (3, "0 to 2"), ("b.jpg", "found 2"), ("x.jpg", "found 0")):
        with pytest.raises(SourceError, match=said):
            read_vertex_contacts(file, row=row)


@pytest.mark.parametrize("write", ["pkl", "pt", "json"])
def test_every_kind_of_file(tmp_path: Path, write: str) -> None:
    values = CHANCE[:778]
    file = tmp_path / f"a.{write}"
    if write == "pkl":
        file.write_bytes(pickle.dumps({"hand": {"contact": values[None]}}))
    elif write == "pt":
        torch.save({"contact_out": torch.as_tensor(values)[None]}, file)
    else:
        file.write_text(json.dumps({"contact": values.tolist()}))
    found = read_vertex_contacts(file)
    assert found.body == "MANO"
    np.testing.assert_allclose(found.probabilities, values, rtol=1e-6)


def test_an_axis_of_one_is_no_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CHANCE[:, None])
    assert len(read_vertex_contacts(tmp_path / "a.npy")) == 10475


def test_ids_of_vertices_need_the_body() -> None:
    with pytest.raises(SourceError, match="as many entries as a body has vertices"):
        read_vertex_contacts({"vertices": [4, 1]})
    found = read_vertex_contacts({"vertices": [4, 1]}, vertex_count=6890)
    assert np.flatnonzero(found.labels()).tolist() == [1, 4]
    with pytest.raises(SourceError, match="vertex ids in 0 to 9"):
        read_vertex_contacts({"vertices": [4, 10]}, vertex_count=10)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ({"contact": CHANCE * 9 - 4}, {}, "are these logits"),
        ({"contact": np.full(6890, np.nan)}, {}, "finite"),
        ({"verts": np.zeros((10475, 3))}, {}, "as many entries"),
        ({"contact": CHANCE}, {"key": "other"}, "no array 'other'"),
        ({"contact": CHANCE}, {"row": 0}, "of one picture"),
        ({}, {}, "no arrays"),
    ],
)
def test_mistakes_are_named(content: dict, options: dict, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read_vertex_contacts(content, **options)


def test_hands_go_where_they_are_on_the_body() -> None:
    ids = np.random.default_rng(1).permutation(10475)[:1556]
    left, right = ids[:778], ids[778:]
    body = hand_contacts_on_body(10475, left=(CHANCE[:778], left), right=(CHANCE[778:1556], right))
    np.testing.assert_array_equal(body[ids], CHANCE[:1556])
    assert np.count_nonzero(body) == 1556
    with pytest.raises(ValueError, match="another body"):
        hand_contacts_on_body(100, left=(CHANCE[:778], left))
    with pytest.raises(ValueError, match="expected probabilities"):
        hand_contacts_on_body(10475, right=(CHANCE[:777], right))
