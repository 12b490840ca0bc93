"""`apu touches`: two meshes of files, and what is said where their topology is not known."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from apu_contacts import ContactMap, RegionMap
from apu_losses import load_body, what_touches
from apu_losses.app import cli
from apu_losses.interop.mesh_files import read_meshes
from apu_losses.viz import people_meshes, write_glb


@pytest.fixture
def apu(capfd, monkeypatch):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["apu", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def people():
    """Two free bodies side by side, hand at hand, the head towards -y as in a camera's frame."""
    body = load_body()
    vertices = body(transl=torch.tensor([[0.0, 0, 0], [1.3, 0.0, 0.02]])).vertices().numpy()
    return vertices * np.array([1, -1, -1], dtype=np.float32), body.faces.numpy()


@pytest.fixture(scope="module")
def found(people):
    vertices, faces = people
    return what_touches(*vertices, RegionMap.load("free"), faces=faces)


def written(folder, vertices, faces, ending):
    path = folder / f"person{ending}"
    trimesh.Trimesh(vertices, faces, process=False).export(path)
    return path


def test_formats_give_what_the_library_finds(apu, tmp_path, people, found):
    vertices, faces = people
    a = written(tmp_path, vertices[0], faces, ".obj")
    b = written(tmp_path, vertices[1], faces, ".ply")
    np.savez(tmp_path / "two.npz", vertices=vertices)
    write_glb(tmp_path / "two.glb", people_meshes(vertices, faces))
    for files in ((a, b), (tmp_path / "two.npz",), (tmp_path / "two.glb",)):
        code, out, err = apu(
            "touches", *files, "-o", tmp_path / "found.json", "--picture", tmp_path / "x.png", "--overwrite"
        )
        assert code == 0 and not err
        assert str(found).splitlines()[0] in out
        said = json.loads((tmp_path / "found.json").read_text())
        assert ContactMap.from_json(said["contact_map"]) == found.contacts
        assert said["a"]["regions"] == "free"
        assert Image.open(tmp_path / "x.png").size[0] > 500


def test_another_topology_is_named_and_read_with_its_map(apu, tmp_path, people):
    vertices, faces = people
    a = written(tmp_path, vertices[0], faces, ".obj")
    count = 10475
    smplx = tmp_path / "smplx.npz"
    np.savez(smplx, vertices=vertices[1][:count])
    code, _, err = apu("touches", a, smplx)
    assert code == 2 and "10475 vertices are those of SMPL-X, whose regions need --body" in err
    ball = written(tmp_path, *_ball(), ".stl")  # .stl repeats each corner
    code, _, err = apu("touches", ball, a)
    assert code == 2 and "no topology of" in err and "merge or split vertices" in err
    points, triangles = _ball()
    ball = written(tmp_path, points + vertices[0].mean(0), triangles, ".ply")
    regions = tmp_path / "ball_regions.npz"
    labels = np.arange(len(points)) % 75
    RegionMap.from_labels(labels, topology="ball", provenance="test").save(regions)
    code, out, _ = apu("touches", a, ball, "--body-b", "free")
    assert code == 2 and not out
    code, out, _ = apu("touches", a, ball, "--regions-b", regions)
    assert code == 0 and "inside the other body" in out


def _ball():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.2)
    return np.array(ball.vertices), np.array(ball.faces)


def test_mistakes_are_one_line(apu, tmp_path, people):
    vertices, faces = people
    a = written(tmp_path, vertices[0], faces, ".obj")
    (tmp_path / "torn.glb").write_bytes(b"glTF\x02\0\0\0torn")
    (tmp_path / "notes.txt").write_text("v 0 0 0")
    np.savez(tmp_path / "poses.npz", body_pose=np.zeros((2, 63)))
    np.savez(tmp_path / "nan.npz", vertices=np.full((8, 3), np.nan))
    for file, said in (
        ("torn.glb", "not a mesh that can be read"),
        ("notes.txt", "expected a mesh (.glb"),
        ("poses.npz", "parameters of a body must be posed first"),
        ("nan.npz", "expected finite coordinates"),
        ("absent.obj", "no such file"),
    ):
        code, out, err = apu("touches", a, tmp_path / file)
        assert code == 2 and said in err and len(err.splitlines()) == 1 and not out
    code, _, err = apu("touches", a)
    assert code == 2 and "expected two meshes, got person" in err
    code, _, err = apu("touches", a, a, "-o", a)
    assert code == 2 and a.stat().st_size > 1000
    millimetres = written(tmp_path, vertices[0] * 1000, faces, ".ply")
    _, _, err = apu("touches", millimetres, millimetres)
    assert "are these millimetres?" in err


def test_what_a_file_refers_to_is_not_opened(tmp_path, people):
    vertices, faces = people
    path = written(tmp_path, vertices[0], faces, ".obj")
    path.write_text("mtllib http://127.0.0.1:9/none.mtl\n" + path.read_text())
    (mesh,) = read_meshes(path)
    np.testing.assert_allclose(mesh.vertices, vertices[0], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, faces)
