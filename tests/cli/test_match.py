"""`apu match` and `apu labels`: from what contact heads wrote to a contact map, and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from apu_contacts import ContactMap, RegionMap
from apu_contacts.regions import part_regions
from apu_losses.app.cli import app
from apu_losses.bodies import load_body

REGIONS = RegionMap.load("free")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bodies side by side, arms to the sides: the one's left hand is near the other's right hand."""
    import torch

    where = tmp_path_factory.mktemp("match")
    body = load_body()
    with torch.no_grad():
        one = body(transl=torch.zeros(1, 3)).vertices()[0].numpy()
    width = np.ptp(one[:, 0])
    for name, mesh in (("a", one), ("b", one + np.array([width + 0.1, 0, 0.3]))):
        trimesh.Trimesh(mesh, body.faces.numpy(), process=False).export(where / f"{name}.ply")
    for name, side in (("a", "left"), ("b", "right")):
        chance = np.zeros(len(one))
        chance[REGIONS.union(part_regions("hand", side))] = 0.9
        chance[REGIONS.union(part_regions("foot", "left"))] = 0.8  # stands on the floor
        np.savez(where / f"{name}.npz", contact=chance)
    return where


def run(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    return found.exit_code, found.output


def test_from_labels_to_a_map_and_back(folder: Path, tmp_path: Path) -> None:
    meshes = folder / "a.ply", folder / "b.ply"
    out, back = tmp_path / "contacts.json", tmp_path / "labels.npz"
    code, said = run("match", *meshes, "--labels", folder / "a.npz", folder / "b.npz", "-o", out)
    assert code == 0, said
    assert "left hand - right hand" in said and "alone on a: left foot" in said
    found = ContactMap.from_json(json.loads(out.read_text()))
    hands = part_regions("hand", "left"), part_regions("hand", "right")
    assert all(a in hands[0] and b in hands[1] for a, b in found.pairs.tolist()) and len(found)
    code, said = run("labels", out, "-o", back)
    assert code == 0, said
    with np.load(back) as arrays:
        assert set(REGIONS.labels()[arrays["contact_a"] > 0]) <= set(hands[0])
        assert arrays["contact_b"].max() == pytest.approx(0.81)


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    meshes = folder / "a.ply", folder / "b.ply"
    np.save(tmp_path / "smplx.npy", np.zeros(10475))
    pair = tmp_path / "smplx.npy", folder / "b.npz"
    code, _ = run("match", *meshes, "--labels", *pair, "-o", tmp_path / "c.json")
    assert code != 0 and not (tmp_path / "c.json").exists()
    (tmp_path / "mine.json").write_text("{}")
    code, _ = run(
        "match", *meshes, "--labels", folder / "a.npz", folder / "b.npz", "-o", tmp_path / "mine.json"
    )
    assert code != 0 and (tmp_path / "mine.json").read_text() == "{}"
    code, _ = run("labels", tmp_path / "mine.json", "-o", tmp_path / "l.npz")
    assert code != 0
