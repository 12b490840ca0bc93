"""From given meshes to parameters and back, and two people of files brought into contact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import apu_losses as al
from apu_contacts.regions import RegionMap, read_surface_mapping
from apu_contacts.regions.mapping import write_surface_mapping
from apu_contacts.regions.transfer import SurfaceCorrespondence
from apu_contacts.sources.names import MHR70_JOINTS
from apu_losses.app import unite_files
from apu_losses.bodies import PosedMeshBody
from apu_losses.fitting.convert_mesh import (
    convert_back_file,
    convert_mesh_file,
    convert_meshes,
    is_mapping,
    is_mesh_source,
    read_mesh_people,
)

REAL = Path(__file__).parents[2].parent / "shared" / "real" / "mhr"
SIZE = (1280, 720)


def people() -> tuple[Any, dict[str, torch.Tensor]]:
    """Return the free body, and parameters of two people before the camera."""
    body = al.load_body()
    generator = torch.Generator().manual_seed(4)
    params = {
        "betas": 0.5 * torch.randn(2, 10, generator=generator),
        "body_pose": 0.15 * torch.randn(2, 63, generator=generator),
        "global_orient": torch.tensor([[np.pi, 0.0, 0.0]] * 2, dtype=torch.float32),
        "transl": torch.tensor([[-0.45, 0.0, 4.0], [0.45, 0.0, 4.0]]),
    }
    return body, params


def estimator_files(folder: Path) -> np.ndarray[Any, Any]:
    """Write what an estimator whose mesh is the free body's would: one person a file."""
    body, params = people()
    posed = body.pose(params)
    vertices, joints = posed.vertices().numpy(), posed.joints.numpy()
    points = dict(zip(body.joint_names, joints.swapaxes(0, 1), strict=True))
    extra = body.keypoints(posed, "coco_wholebody133").numpy()
    from apu_contacts.keypoints import SKELETONS

    names = SKELETONS["coco_wholebody133"].joint_names
    for k in range(2):
        at = np.full((70, 3), np.nan)
        for row, name in enumerate(MHR70_JOINTS):
            if name in points:
                at[row] = points[name][k]
            elif name in names:
                at[row] = extra[k, names.index(name)]
        at[np.isnan(at).any(1)] = joints[k, 0]
        place = np.array([0.0, 0.0, 4.0])
        np.savez(
            folder / f"person_{k}.npz",
            pred_keypoints_3d=at - place,
            pred_keypoints_2d=900 * at[:, :2] / at[:, 2:] + [640, 360],
            pred_cam_t=place,
            pred_vertices=vertices[k] - place,
        )
    np.save(folder.parent / "faces.npy", body.faces.numpy())
    return vertices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sam3d").mkdir()
    estimator_files(tmp_path / "sam3d")
    return tmp_path / "sam3d"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_meshes_become_parameters_that_pose_them_again(folder: Path, tmp_path: Path) -> None:
    body, params = people()
    out, back = tmp_path / "free.npz", tmp_path / "back.npz"
    assert is_mesh_source(folder) and not is_mapping(out)
    found = convert_mesh_file(folder, out, body, tmp_path / "faces.npy", back=back)
    assert bool((found.conversion.mean_mm < 3).all()) and bool((found.round_trip < 0.006).all())
    # the places of the joints are the people's own
    wanted = body.pose(params).joints
    got = body.pose(found.conversion.parameters).joints
    assert float((wanted - got)[:, :22].norm(dim=-1).mean()) < 0.012
    assert is_mapping(back)
    meshes = convert_back_file(out, tmp_path / "meshes.npz", body, back)
    assert meshes.shape == (2, body.num_vertices, 3)
    apart = np.linalg.norm(meshes - body.pose(params).vertices().numpy(), axis=2).mean(1)
    np.testing.assert_allclose(apart, found.round_trip.numpy(), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_mapping_is_followed_vertex_by_vertex(tmp_path: Path) -> None:
    body, params = people()
    posed = body.pose(params)
    meshes = PosedMeshBody(posed.vertices(), body.faces, joints=posed.joints, joint_names=body.joint_names)
    corner = np.zeros(body.num_vertices, dtype=np.int64)
    faces = body.data.faces
    for number, face in enumerate(faces):
        corner[face] = number
    weights = (faces[corner] == np.arange(body.num_vertices)[:, None]).astype(float)
    none = np.zeros(body.num_vertices, dtype=bool)
    mapping = SurfaceCorrespondence(faces[corner], weights, body.num_vertices, none, none, "itself")
    write_surface_mapping(tmp_path / "self.npz", mapping, faces)
    read = read_surface_mapping(tmp_path / "self.npz", faces)
    found = convert_meshes(meshes, body, mapping=read, rounds=1)
    assert bool((found.conversion.mean_mm < 1).all())
    wrong = SurfaceCorrespondence.from_ids(np.arange(5), body.num_vertices)
    with pytest.raises(ValueError, match="the other direction"):
        convert_meshes(meshes, body, mapping=wrong, rounds=0)


def test_two_people_of_files_are_brought_into_contact(folder: Path, tmp_path: Path) -> None:
    regions = tmp_path / "regions.npz"
    RegionMap.load("free").save(regions)
    touching = [unite_files.part_contact("left forearm: right forearm")]
    done = unite_files.unite([folder], (0, 1), touching, tmp_path / "faces.npy", regions, size=SIZE)
    before, after = done.result.before, done.result.after
    assert min(after.contact_distance) < 0.03 < 0.1 < min(before.contact_distance)
    # their meshes are what they were: only turned and moved
    given = people()[0].pose(people()[1]).vertices().numpy()
    for mesh, own in zip(done.vertices, given, strict=True):
        edges = [np.linalg.norm(np.diff(each[:500], axis=0), axis=1) for each in (mesh, own)]
        np.testing.assert_allclose(edges[0], edges[1], atol=2e-6)
    files = done.save(tmp_path / "out")
    assert {f.name for f in files} == {"united.npz", "united.json", "meshes.npz", "regions.npz"}
    assert all(f.is_file() for f in files)
    with pytest.raises(ValueError, match="two of the 2 people"):
        unite_files.unite([folder], (0, 2), touching, tmp_path / "faces.npy", regions)


def test_the_size_of_the_picture_follows_from_the_files_own_camera(folder: Path) -> None:
    assert [p.camera.center for p in read_mesh_people(folder)] == [pytest.approx((640, 360))] * 2  # type: ignore[union-attr]


def test_contacts_in_words() -> None:
    found = unite_files.part_contact("left upper arm: back")
    assert (found.part_a, found.side_a, found.part_b, found.side_b) == ("upper arm", "left", "back", "none")
    for words in ("left hand", "hand: tail", "a:b:c", ":hand"):
        with pytest.raises(ValueError, match="--contact"):
            unite_files.part_contact(words)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
@pytest.mark.filterwarnings("ignore")
def test_four_real_people(tmp_path: Path) -> None:
    files = sorted(REAL.glob("img_subj*.npz"))
    people = read_mesh_people(files)
    assert len(people) == 4 and {p.camera.focal for p in people} == {people[0].camera.focal}  # type: ignore[union-attr]
    found = convert_mesh_file(files[0], tmp_path / "a.npz", al.load_body(), REAL / "mhr_face_mask.ply")
    assert float(found.conversion.mean_mm[0]) < 6 and float(found.round_trip[0]) < 0.02


@pytest.mark.real
@pytest.mark.long
@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
@pytest.mark.filterwarnings("ignore")
def test_two_real_people_are_brought_into_contact() -> None:
    files = sorted(REAL.glob("img_subj*.npz"))
    touching = [unite_files.part_contact("left upper arm: right upper arm")]
    done = unite_files.unite(files, (1, 2), touching, REAL / "mhr_face_mask.ply")
    before, after = (min(m.contact_distance) for m in (done.result.before, done.result.after))
    assert not done.result.failed and after < 0.02 < 0.1 < before  # 2 cm: what counts as held elsewhere
    assert np.linalg.norm(done.result.parameters["transl"], axis=1).max() < 0.5
