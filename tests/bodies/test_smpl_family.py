"""SMPL, SMPL-H and SMPL-X files of the full official size: as the smplx package computes them."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from made_up_body import PARENTS, VERTICES, as_smplx, made_up_arrays, random_parameters

from apu_contacts.keypoints.skeletons import SKELETONS
from apu_losses.bodies import BodyFileError, BodyModel, load_body, read_body_file, rotation_matrix
from apu_losses.bodies.families import FAMILIES, SMPL, SMPLH, SMPLX
from apu_losses.bodies.keypoints import SMPL_SURFACE_POINTS, keypoint_sources

# SMPL's hands hang on the wrists; SMPL-H is SMPL-X without jaw and eyes
SMPL_PARENTS = (*PARENTS[:22], 20, 21)
SMPLH_PARENTS = (*PARENTS[:22], *(p - 3 if p > 21 else p for p in PARENTS[25:]))


def chumpy_array(array: Any) -> Any:
    """An object that pickles as chumpy's Ch does."""
    for module in ("chumpy", "chumpy.ch"):
        sys.modules.setdefault(module, types.ModuleType(module))
    if not hasattr(sys.modules["chumpy.ch"], "Ch"):
        sys.modules["chumpy.ch"].Ch = type("Ch", (), {"__module__": "chumpy.ch"})  # type: ignore[attr-defined]
    made = sys.modules["chumpy.ch"].Ch()
    made.x, made._dirty_vars, made._itr = array, {"x"}, None
    return made


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files by family, as they are distributed, and the same without chumpy for the smplx package."""
    root = tmp_path_factory.mktemp("family")
    smpl = made_up_arrays(vertices=6890, directions=10, parents=SMPL_PARENTS)
    smplh = made_up_arrays(vertices=6890, directions=16, parents=SMPLH_PARENTS, seed=1)
    smplx = made_up_arrays(vertices=VERTICES, directions=20, seed=2)
    for arrays in (smpl, smplh):
        for key in [key for key in arrays if "lmk" in key or (arrays is smpl and "hands" in key)]:
            del arrays[key]
    (root / "plain").mkdir()
    for name, arrays in (("SMPL", smpl), ("SMPLH", smplh), ("SMPLX", smplx)):
        official = {**arrays, "bs_style": "lbs", "bs_type": "lrotmin"}
        official.pop("joint2num")
        official["posedirs"] = official["posedirs"].astype(np.float32)
        (root / "plain" / f"{name}_NEUTRAL.pkl").write_bytes(pickle.dumps(official, 2))
        official["J_regressor"] = scipy.sparse.csc_matrix(official["J_regressor"])
        official["shapedirs"] = chumpy_array(official["shapedirs"])
        (root / f"{name}_NEUTRAL.pkl").write_bytes(pickle.dumps(official, 2))
    sys.modules.pop("chumpy.ch", None)
    sys.modules.pop("chumpy", None)
    smplh["posedirs"] = smplh["posedirs"].astype(np.float32)
    np.savez(root / "SMPLH_NEUTRAL.npz", **{k: v for k, v in smplh.items() if k != "joint2num"})
    np.save(root / "kid.npy", smpl["v_template"] * [0.5, 0.35, 0.6] + 0.2)
    return root


def create(path: Path, kind: str, **options: Any) -> Any:
    smplx = pytest.importorskip("smplx", reason="the parity tests need the smplx package (extra [smplx])")
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.create(str(path), model_type=kind, **options)


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 3e-6) -> None:
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "smpl": ("SMPL_NEUTRAL.pkl", {}, {}),
    "smplh": ("SMPLH_NEUTRAL.pkl", {"use_pca": False}, {}),
    "smplh pca": ("SMPLH_NEUTRAL.pkl", {"num_pca_comps": 9}, {"num_pca_comps": 9}),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_smplx_package(case: str, models: Path) -> None:
    file, options, own = CASES[case]
    kind = case.split()[0]
    model = create(models / "plain" / file, kind, batch_size=2, dtype=torch.float64, **options)
    body = load_body(models / file, dtype=torch.float64, **own)
    assert isinstance(body, BodyModel) and body.num_vertices == 6890
    params = {name: value.requires_grad_() for name, value in random_parameters(body, 2, scale=0.3).items()}
    out, posed = model(**params), body.pose(params)
    # the package adds 1e-8 to every rotation vector, which moves vertices by up to 6e-8
    count = len(FAMILIES[kind].joint_names)
    close(posed.vertices(), out.vertices, 2e-7)
    close(posed.joints, out.joints[:, :count], 2e-7)
    rows, ids = torch.tensor([1, 0, 1]), torch.tensor([0, 17, 6889])
    close(posed.select(rows, ids), out.vertices[rows, ids], 2e-7)
    weight = torch.randn(out.vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = list(params)
    expected = torch.autograd.grad((out.vertices * weight).sum(), [params[n] for n in names])
    found = torch.autograd.grad((posed.vertices() * weight).sum(), [params[n] for n in names])
    for name, ours, theirs in zip(names, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4, msg=f"gradient of {name}")


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx"])
def test_objects_and_layers_of_the_smplx_package(kind: str, models: Path, smplx_create: Any) -> None:
    smplx = pytest.importorskip("smplx")
    path = models / "plain" / f"{kind.upper()}_NEUTRAL.pkl"
    hands = {} if kind == "smpl" else {"use_pca": False}
    model = create(path, kind, batch_size=2, ext="pkl", **hands)
    body = load_body(model)
    assert body.name == kind and body.data.family is FAMILIES[kind]
    params = random_parameters(body, 2, scale=0.3)
    close(body.pose(params).vertices(), model(**params).vertices)
    with contextlib.redirect_stdout(io.StringIO()):
        layer = getattr(smplx, f"{kind.upper()}Layer")(str(path), ext="pkl")
    body = load_body(layer)
    params = random_parameters(body, 2, scale=0.3)
    matrices = {
        name: rotation_matrix(value.unflatten(1, (-1, 3))) if body.parameter_specs[name].rotation else value
        for name, value in params.items()
    }
    close(body.pose(params).vertices(), layer(**matrices).vertices)


def test_a_pickle_and_an_archive_of_smplx_give_the_same_body(models: Path, tmp_path: Path) -> None:
    arrays = made_up_arrays(vertices=VERTICES, directions=20, seed=2)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays)
    a, b = load_body(models / "SMPLX_NEUTRAL.pkl"), load_body(tmp_path / "SMPLX_NEUTRAL.npz")
    params = random_parameters(a, 2)
    assert torch.equal(a.pose(params).vertices(), b.pose(params).vertices())


def test_the_infant_of_smpl_gives_an_age(models: Path) -> None:
    kid = models / "kid.npy"
    path = models / "plain" / "SMPL_NEUTRAL.pkl"
    model = create(path, "smpl", age="kid", kid_template_path=str(kid), batch_size=2)
    for body in (load_body(path, kid_template=kid), load_body(model)):
        params = random_parameters(body, 2, scale=0.3)
        assert params["age"].shape == (2, 1)
        close(body.pose(params).vertices(), model(**as_smplx(params)).vertices)
    with pytest.raises(BodyFileError, match="this is the infant of SMPL-X, use smpl_kid_template"):
        load_body(path, kid_template=np.zeros((10475, 3)))


def test_keypoints_are_the_packages_joints_by_name(models: Path) -> None:
    joint_names = pytest.importorskip("smplx.joint_names").SMPLH_JOINT_NAMES
    model = create(models / "plain" / "SMPLH_NEUTRAL.pkl", "smplh", use_pca=False)
    body = load_body(models / "SMPLH_NEUTRAL.npz", dtype=torch.float32)
    params = random_parameters(body, 1, scale=0.3, dtype=torch.float32)
    expected, posed = model(**params).joints, body.pose(params)
    for skeleton in ("body25", "coco17", "coco_wholebody133"):
        found, mask = body.keypoints(posed, skeleton), body.keypoint_mask(skeleton)
        for k, name in enumerate(SKELETONS[skeleton].joint_names):
            if name.startswith("face_"):
                assert not mask[k]
                continue
            sources = keypoint_sources(name)
            at = [expected[:, joint_names.index(source)] for source in sources]
            assert mask[k], name
            close(found[:, k], sum(at) / len(at), 3e-5)  # type: ignore[arg-type]


def test_smpl_has_finger_tips_but_no_knuckles(models: Path) -> None:
    body = load_body(models / "SMPL_NEUTRAL.pkl")
    names = SKELETONS["coco_wholebody133"].joint_names
    has = dict(zip(names, body.keypoint_mask("coco_wholebody133").tolist(), strict=True))
    assert has["left_hand_8"] and has["left_hand_0"] and not has["left_hand_5"] and has["right_big_toe"]
    assert "left_hand_pose" not in body.parameter_specs and body.parameter_specs["body_pose"].size == 69
    with pytest.raises(ValueError, match=r"63 values are the 21 joints.*append 6 zeros"):
        body.pose({"body_pose": torch.zeros(1, 63)})
    with pytest.raises(ValueError, match="SMPL has no fingers"):
        load_body(models / "SMPL_NEUTRAL.pkl", num_pca_comps=6)


def test_tables_are_those_of_the_smplx_package() -> None:
    joint_names = pytest.importorskip("smplx.joint_names")
    assert list(SMPLX.joint_names) == joint_names.JOINT_NAMES[:55]
    assert list(SMPLH.joint_names) == joint_names.SMPLH_JOINT_NAMES[:52]
    assert SMPL.joint_names == (*SMPLH.joint_names[:22], "left_hand", "right_hand")
    theirs = sorted(pytest.importorskip("smplx.vertex_ids").vertex_ids["smplh"].values())
    assert sorted(SMPL_SURFACE_POINTS.values()) == theirs
    for family in FAMILIES.values():
        assert sum(joints for _, joints in family.pose_layout) == len(family.joint_names)


def test_hostile_and_foreign_pickles_are_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({"v_template": np.zeros((6890, 3)), "posedirs": Bomb()}))
    with pytest.raises(BodyFileError, match="nothing was run"):
        read_body_file(path)
    assert not (tmp_path / "exploded").exists()
    path.write_bytes(b"")
    with pytest.raises(BodyFileError, match="is the download complete"):
        read_body_file(path)
    path.write_bytes(pickle.dumps({"v_template": "text"}))
    with pytest.raises(BodyFileError, match="'v_template' holds text, expected an array"):
        read_body_file(path)


def test_a_folder_of_any_family_is_found(models: Path, tmp_path: Path) -> None:
    (tmp_path / "smpl").mkdir()
    target = tmp_path / "smpl" / "SMPL_NEUTRAL.pkl"
    target.write_bytes((models / "SMPL_NEUTRAL.pkl").read_bytes())
    assert load_body(tmp_path).data.family is SMPL
