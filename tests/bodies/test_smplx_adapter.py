"""Objects of the smplx package give the same results as called directly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_body import VERTICES, as_smplx, random_parameters

from apu_losses.bodies import from_smplx, load_body, rotation_matrix

OPTIONS: dict[str, dict[str, Any]] = {
    "axis-angle hands": {"use_pca": False},
    "pca hands": {"num_pca_comps": 6},
    "kid": {"use_pca": False, "age": "kid"},
    "many directions": {
        "gender": "female",
        "num_betas": 300,
        "num_expression_coeffs": 100,
        "flat_hand_mean": True,
    },
}


@pytest.mark.parametrize("case", OPTIONS)
def test_results_are_those_of_the_object(case: str, smplx_create: Callable[..., Any], kid_file: Path) -> None:
    model = smplx_create(batch_size=2, kid_template_path=str(kid_file), **OPTIONS[case])
    body = load_body(model)
    assert ("age" in body.parameter_specs) == (case == "kid")
    params = random_parameters(body, 2, scale=0.3)
    out = model(**as_smplx(params))
    posed = body.pose(params)
    torch.testing.assert_close(posed.vertices(), out.vertices, atol=3e-6, rtol=0)
    torch.testing.assert_close(posed.joints, out.joints[:, :55], atol=3e-6, rtol=0)
    rows, ids = torch.tensor([1, 0, 1]), torch.tensor([0, 17, VERTICES - 1])
    torch.testing.assert_close(posed.select(rows, ids), out.vertices[rows, ids], atol=3e-6, rtol=0)


def test_left_out_parameters_are_the_objects_own(smplx_create: Callable[..., Any], kid_file: Path) -> None:
    model = smplx_create(use_pca=False, age="kid", kid_template_path=str(kid_file))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    torch.testing.assert_close(load_body(model).pose({}).vertices(), model().vertices, atol=3e-6, rtol=0)


def test_own_parameters_that_differ_between_rows_give_a_warning(smplx_create: Callable[..., Any]) -> None:
    model = smplx_create(use_pca=False, batch_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_body(model)
    with torch.no_grad():
        model.transl[1] = 1
    with pytest.warns(UserWarning, match="own transl differs between its 2 rows"):
        body = load_body(model)
    assert body.parameter_specs["transl"].default == (0.0, 0.0, 0.0)


def test_a_layer_takes_axis_angle_here(folder: Path, smplx_create: Callable[..., Any]) -> None:
    smplx = pytest.importorskip("smplx")
    layer = smplx.SMPLXLayer(str(folder / "smplx"), ext="npz")
    body = load_body(layer)
    params = random_parameters(body, 2)
    out = layer(
        **{
            name: rotation_matrix(value.unflatten(1, (-1, 3)))
            if body.parameter_specs[name].rotation
            else value
            for name, value in params.items()
        }
    )
    posed = body.pose(params)
    torch.testing.assert_close(posed.vertices(), out.vertices, atol=3e-6, rtol=0)
    torch.testing.assert_close(posed.joints, out.joints[:, :55], atol=3e-6, rtol=0)


def test_the_object_and_the_body_do_not_share_memory(smplx_create: Callable[..., Any]) -> None:
    model = smplx_create(use_pca=False)
    body = load_body(model)
    before = body.pose({}).vertices()
    model.v_template.zero_()
    model.posedirs.zero_()
    torch.testing.assert_close(body.pose({}).vertices(), before)


def test_options_that_belong_to_the_object_are_refused(
    smplx_create: Callable[..., Any], kid_file: Path
) -> None:
    model = smplx_create(use_pca=False)
    with pytest.raises(ValueError, match=r"age='kid' and num_pca_comps to smplx\.create"):
        load_body(model, kid_template=kid_file)
    with pytest.raises(TypeError, match="got Linear"):
        from_smplx(torch.nn.Linear(1, 1))
