"""`apu inspect`, `apu map`, and `apu unite` and `apu convert` where they say what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts import RegionMap
from apu_losses import load_body


@pytest.fixture
def person(tmp_path: Path) -> Path:
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (70, 3))
    at = points + np.array([0, 0, 5.0])
    file = tmp_path / "person.npz"
    pixels = 900 * at[:, :2] / at[:, 2:] + np.array([640, 360])
    place = np.array([0, 0, 5.0])
    np.savez(file, pred_keypoints_3d=points, pred_cam_t=place, pred_keypoints_2d=pixels)
    return file


def test_inspect_says_what_it_is(apu: Any, person: Path) -> None:
    code, out, _ = apu("inspect", person, "--size", 1280, 720)
    assert code == 0
    for words in ("SAM 3D Body", "0: mhr, 64 joints", "focal length 900.0 px", "to use it: apu propose"):
        assert words in out
    code, out, _ = apu("inspect", person, person, "--size", 1280, 720, "--json")
    assert code == 0 and [json.loads(line)["kind"] for line in out.splitlines()] == ["sam3d", "sam3d"]


def test_inspect_of_what_nobody_reads(apu: Any, person: Path) -> None:
    code, out, _ = apu("inspect", person)
    assert code == 1 and "refused: nothing yet" in out
    code, _, err = apu("inspect", person.parent / "absent.pt")
    assert code == 2 and "no such file" in err


def test_map_carries_regions_by_a_mapping(apu: Any, tmp_path: Path) -> None:
    body = load_body()
    faces = np.asarray(body.data.faces)
    np.save(tmp_path / "faces.npy", faces)
    chosen = np.arange(0, len(faces), 3)
    weights = np.tile([0.6, 0.3, 0.1], (len(chosen), 1))
    np.savez(tmp_path / "a2b_mapping.npz", triangle_ids=chosen, baryc_coords=weights)
    RegionMap.load("free").save(tmp_path / "free.npz")
    out = tmp_path / "b.npz"
    command = ("map", tmp_path / "free.npz", "--mapping", tmp_path / "a2b_mapping.npz", "-o", out, "--faces")
    code, said, _ = apu(*command, tmp_path / "faces.npy")
    assert code == 0 and "b.npz written" in said
    moved = RegionMap.load(out)
    assert moved.topology == "b" and moved.vertex_count == len(chosen) and moved.kind == "transferred"
    # each new vertex has the regions of the corner that has most of the weight, or more of them
    labels = RegionMap.load("free").labels()[faces[chosen, 0]]
    assert (moved.labels() == labels).mean() > 0.95
    np.save(tmp_path / "few.npy", faces[:50])
    code, _, err = apu(*command[:5], tmp_path / "c.npz", "--faces", tmp_path / "few.npy")
    assert code == 2 and "names triangles" in err


def test_meshes_without_triangles_or_contacts(apu: Any, person: Path, tmp_path: Path) -> None:
    code, _, err = apu("convert", person, "--to", "free", "-o", tmp_path / "o.npz")
    assert code == 2 and "--faces mhr_face_mask.ply" in err
    faces = tmp_path / "faces.npy"
    np.save(faces, np.array([[0, 1, 2]]))
    common = ("unite", person, "--faces", faces, "-o", tmp_path / "out", "--contact")
    code, _, err = apu(*common, "left tail: right hand")
    assert code == 2 and "'left tail' is no part" in err
    code, _, err = apu(*common, "left hand: right hand")
    assert code == 2 and "have no mesh (pred_vertices)" in err
    assert not (tmp_path / "out").exists()
