"""Reading files: what is taken from them, and what is said about files that are wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_body import PARENTS, VERTICES, made_up_arrays

from apu_losses.bodies import BodyFileError, load_body, read_body_file
from apu_losses.bodies.smplx_format import JOINT_NAMES


def write(folder: Path, *, drop: tuple[str, ...] = (), **changes: Any) -> Path:
    arrays = {**made_up_arrays(), **changes}
    path = folder / "SMPLX_TEST.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if key not in drop})
    return path


def test_the_skeleton_is_smplxs(model_file: Path) -> None:
    names = pytest.importorskip("smplx.joint_names").JOINT_NAMES
    assert list(JOINT_NAMES) == names[:55]
    assert read_body_file(model_file).parents == PARENTS


@pytest.mark.parametrize(
    ("directions", "num_betas", "num_expression", "shape", "expression"),
    [
        (10, 10, 10, (0, 10), None),
        (16, 16, 10, (0, 16), None),
        (20, 10, 10, (0, 10), (10, 20)),
        (20, 4, 3, (0, 4), (10, 13)),
        (300, 300, 10, (0, 300), None),
        (400, 10, 10, (0, 10), (300, 310)),
        (400, 300, 100, (0, 300), (300, 400)),
        (400, 16, 0, (0, 16), None),
    ],
)
def test_directions_are_split_into_shape_and_expression(
    tmp_path: Path,
    directions: int,
    num_betas: int,
    num_expression: int,
    shape: tuple[int, int],
    expression: tuple[int, int] | None,
) -> None:
    arrays = made_up_arrays(directions=directions)
    path = write(tmp_path, shapedirs=arrays["shapedirs"])
    data = read_body_file(path, num_betas=num_betas, num_expression=num_expression)
    np.testing.assert_array_equal(data.shapedirs, arrays["shapedirs"][:, :, slice(*shape)])
    if expression is None:
        assert data.expressiondirs is None
    else:
        np.testing.assert_array_equal(data.expressiondirs, arrays["shapedirs"][:, :, slice(*expression)])


def test_expressions_that_are_all_zero_are_left_out(tmp_path: Path) -> None:
    dirs = made_up_arrays()["shapedirs"]
    dirs[:, :, 10:] = 0
    assert "expression" not in load_body(write(tmp_path, shapedirs=dirs)).parameter_specs


def test_the_infant_may_lie_in_the_file_in_another_or_in_an_array(
    tmp_path: Path, model_file: Path, kid_file: Path
) -> None:
    kid = np.load(kid_file)
    expected = kid - kid.mean(0) - made_up_arrays()["v_template"]
    for data in (
        read_body_file(model_file, kid_template=kid_file),
        read_body_file(model_file, kid_template=kid),
        read_body_file(write(tmp_path, kid_template=kid.astype(np.float32))),
    ):
        assert data.age_direction is not None
        np.testing.assert_allclose(data.age_direction, expected, atol=1e-6)
    assert read_body_file(model_file).age_direction is None


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    bomb = np.array([Bomb()], dtype=object)
    load_body(write(tmp_path, joint2num=bomb, part2num=bomb, dynamic_lmk_faces_idx=bomb))
    with pytest.raises(BodyFileError, match=r"J_regressor\.npy: holds pickled objects"):
        load_body(write(tmp_path, J_regressor=bomb))
    assert not (tmp_path / "exploded").exists()


def test_half_precision_is_widened_and_double_kept(tmp_path: Path) -> None:
    data = read_body_file(write(tmp_path, shapedirs=made_up_arrays()["shapedirs"].astype(np.float16)))
    assert data.shapedirs.dtype == np.float32 and data.v_template.dtype == np.float64


def replaced(key: str, change: Any) -> dict[str, Any]:
    return {key: change(made_up_arrays()[key])}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no weights": ({"drop": ("weights",)}, r"key 'weights' of shape \(600, 55\) is missing"),
    "smpl": ({"v_template": np.zeros((6890, 3))}, r"6890 vertices, but .* 55 joints of SMPL-X.*two models"),
    "mano": ({"v_template": np.zeros((778, 3))}, r"778 vertices, so this is MANO"),
    "24 joints": ({"kintree_table": np.zeros((2, 24), dtype=int)}, r"weights must have shape \(600, 24\)"),
    "16 joints": ({"kintree_table": np.zeros((2, 16), dtype=int)}, r"16 joints; SMPL 24, SMPL-H 52"),
    "52 joints": ({"kintree_table": np.zeros((2, 52), dtype=int)}, r"weights must have shape \(600, 52\)"),
    "millimetres": (replaced("v_template", lambda v: v * 1000), "are these millimetres"),
    "centimetres": (replaced("v_template", lambda v: v * 100), "are these centimetres"),
    "z up": (replaced("v_template", lambda v: v[:, [0, 2, 1]]), "is z the upward axis"),
    "flat": (replaced("v_template", lambda v: v * 0), "0.4 to 2.5 metres; is this a whole body"),
    "nan": (replaced("v_template", lambda v: v * np.nan), "v_template holds values that are not finite"),
    "regressor": (replaced("J_regressor", lambda r: r.T), r"J_regressor must have shape \(55, 600\)"),
    "posedirs": (
        replaced("posedirs", lambda p: p.reshape(-1, 486).T),
        r"posedirs must have shape \(600, 3, 486\), got \(486, 1800\)",
    ),
    "weights": (replaced("weights", lambda w: w * 2), r"weights of each vertex must sum to 1, found 2.000"),
    "faces": (replaced("f", lambda f: f + VERTICES), r"f names vertex \d+ of 600"),
    "faces below": (replaced("f", lambda f: f.astype(int) - VERTICES), r"f names vertex -\d+"),
    "tree": (replaced("kintree_table", lambda k: k[::-1]), "kintree_table must name an earlier joint"),
    "hands": ({"hands_meanl": np.zeros(12)}, r"hands_meanl must have shape \(45,\), got \(12,\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(BodyFileError, match=message) as caught:
        load_body(write(tmp_path, **changes))
    assert "SMPLX_TEST.npz" in str(caught.value)


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.npz", b"not a zip"), ("b.npz", b"PK\x03\x04 broken"), ("c.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BodyFileError, match=rf"{name}: not an .npz"):
            load_body(tmp_path / name)
    np.save(tmp_path / "d.npy", np.zeros(3))
    with pytest.raises(BodyFileError, match=r"a single array of NumPy"):
        load_body(tmp_path / "d.npy")
    (tmp_path / "e.npz").write_bytes(pickle.dumps({"v_template": 1}))
    with pytest.raises(BodyFileError, match=r"not an \.npz"):
        load_body(tmp_path / "e.npz")


def test_a_cut_off_download_is_said(tmp_path: Path, model_file: Path) -> None:
    damaged = bytearray(model_file.read_bytes())
    where = damaged.find(b"v_template.npy") + 400
    damaged[where : where + 64] = bytes(64)
    (tmp_path / "SMPLX_CUT.npz").write_bytes(damaged)
    with pytest.raises(BodyFileError, match=r"v_template\.npy: damaged"):
        load_body(tmp_path / "SMPLX_CUT.npz")


def test_infants_that_do_not_fit_are_refused(tmp_path: Path, model_file: Path) -> None:
    with pytest.raises(
        BodyFileError, match=r"shape \(600, 3\) like the body, got \(6890, 3\).*smplx_kid_template"
    ):
        load_body(model_file, kid_template=np.zeros((6890, 3)))
    with pytest.raises(BodyFileError, match=r"0\.4 to 2\.5 metres"):
        load_body(model_file, kid_template=np.zeros((VERTICES, 3)))
    with pytest.raises(FileNotFoundError, match=r"kid_template: file not found: .*nowhere.npy"):
        load_body(model_file, kid_template=tmp_path / "nowhere.npy")
    np.save(tmp_path / "objects.npy", np.array([None]))
    with pytest.raises(BodyFileError, match=r"objects.npy: holds pickled objects"):
        load_body(model_file, kid_template=tmp_path / "objects.npy")


def test_sizes_beyond_the_file_are_named(model_file: Path) -> None:
    with pytest.raises(ValueError, match=r"num_betas must lie in \[0, 10\].*got 16"):
        load_body(model_file, num_betas=16)
    with pytest.raises(ValueError, match=r"num_pca_comps must lie in \[1, 45\].*got 46"):
        load_body(model_file, num_pca_comps=46)
    with pytest.raises(ValueError, match="num_expression"):
        load_body(model_file, num_expression=-1)
