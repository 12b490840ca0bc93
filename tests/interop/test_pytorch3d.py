"""The axis flip: against PyTorch3D's documented formula, and against the package where it is installed."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from apu_losses.camera import PinholeCamera
from apu_losses.interop.pytorch3d import (
    camera_arguments,
    from_meshes,
    from_perspective_cameras,
    to_meshes,
    to_perspective_cameras,
)

SIZE = torch.tensor([[480.0, 640.0], [900.0, 300.0]])  # height, width
CAMERA = PinholeCamera(torch.tensor([700.0, 1200.0]), torch.tensor([[310.0, 255.0], [140.0, 460.0]]))


def points() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 50, 3, generator=generator) * torch.tensor([0.5, 0.7, 0.4]) + torch.tensor(
        [0, 0, 3.0]
    )


def documented_pixels(points: Tensor, arguments: dict[str, Any]) -> Tensor:
    """docs/notes/cameras.md: rows x R + T; NDC x = fx X / Z + px with +X left and +Y up and the shorter side
    from -1 to 1; pixels = size / 2 - NDC * shorter / 2. Screen focal and principal point are turned to NDC as
    fx_ndc = fx * 2 / s and px_ndc = -(px - width / 2) * 2 / s.
    """
    height_width = arguments["image_size"]
    size, shorter = height_width.flip(1), height_width.amin(1, keepdim=True)
    focal = arguments["focal_length"] * 2 / shorter
    principal = -(arguments["principal_point"] - size / 2) * 2 / shorter
    view = points @ arguments["R"] + arguments["T"][:, None]
    ndc = focal[:, None] * view[..., :2] / view[..., 2:] + principal[:, None]
    return size[:, None] / 2 - ndc * shorter[:, None] / 2


def test_the_flip_is_that_of_the_documented_projection() -> None:
    arguments = camera_arguments(CAMERA, SIZE)
    torch.testing.assert_close(
        documented_pixels(points(), arguments), CAMERA.project(points()), atol=2e-3, rtol=0
    )
    assert torch.linalg.det(arguments["R"]).allclose(torch.ones(2))  # a rotation, no mirror image
    right_and_down = documented_pixels(torch.tensor([[[0.5, 0.2, 2.0]], [[0.5, 0.2, 2.0]]]), arguments)
    assert (right_and_down[:, 0] > CAMERA.center).all()


def test_an_opencv_camera_comes_back_as_it_went() -> None:
    """renderer/camera_conversions.py documents R = R_cv^T and T = t_cv with the x and y axes negated."""
    generator = torch.Generator().manual_seed(2)
    turn = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator))[0]
    turn = turn * torch.linalg.det(turn)[:, None, None].sign()
    shift = torch.randn(2, 3, generator=generator) + torch.tensor([0, 0, 5.0])
    signs = torch.tensor([-1.0, -1.0, 1.0])
    cameras = SimpleNamespace(
        R=turn.mT * signs,  # columns, for row vectors
        T=shift * signs,
        focal_length=CAMERA.focal[:, None].expand(2, 2),
        principal_point=CAMERA.center,
        image_size=SIZE,
        in_ndc=lambda: False,
    )
    _, rotation, translation = from_perspective_cameras(cameras)
    torch.testing.assert_close(rotation, turn)
    torch.testing.assert_close(translation, shift)


def test_one_pixel_in_closed_form() -> None:
    """A metre to the right at four metres, seen with 400 px: 100 px to the right; PyTorch3D's +X is left."""
    camera = PinholeCamera(torch.tensor([400.0]), torch.tensor([[320.0, 240.0]]))
    arguments = camera_arguments(camera, torch.tensor([[480.0, 640.0]]))
    point = torch.tensor([[[1.0, 0.5, 4.0]]])
    view = point @ arguments["R"] + arguments["T"]
    assert view.tolist() == [[[-1.0, -0.5, 4.0]]]
    assert camera.project(point).tolist() == [[[420.0, 290.0]]]
    torch.testing.assert_close(documented_pixels(point, arguments), camera.project(point))


def test_meshes_are_made_as_the_package_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Meshes(verts=[...], faces=[...])``, one list entry a mesh; gradients pass through."""
    given: dict[str, Any] = {}

    class Meshes:
        def __init__(self, verts: list[Tensor], faces: list[Tensor]) -> None:
            given.update(verts=verts, faces=faces)

        def verts_list(self) -> list[Tensor]:
            return list(given["verts"])

        def faces_list(self) -> list[Tensor]:
            return list(given["faces"])

    for name in ("pytorch3d", "pytorch3d.structures"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["pytorch3d.structures"].Meshes = Meshes  # type: ignore[attr-defined]
    vertices = torch.randn(2, 5, 3, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [2, 3, 4]])
    back, triangles = from_meshes(to_meshes(vertices, faces))
    assert torch.equal(back, vertices) and torch.equal(triangles, faces)
    assert [tuple(v.shape) for v in given["verts"]] == [(5, 3)] * 2 and len(given["faces"]) == 2
    (gradient,) = torch.autograd.grad(back.square().sum(), vertices)
    torch.testing.assert_close(gradient, 2 * vertices.detach())


@pytest.mark.parametrize("ndc", [False, True])
def test_there_and_back(ndc: bool) -> None:
    arguments = camera_arguments(CAMERA, SIZE)
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator))[0]
    turn = turn * torch.linalg.det(turn)[:, None, None].sign()
    arguments["R"], arguments["T"] = turn, torch.tensor([[0.1, -0.2, 6.0], [0.3, 0.1, 7.0]])
    world = torch.randn(2, 20, 3, generator=generator) * 0.5
    expected = documented_pixels(world, arguments)
    if ndc:
        shorter = SIZE.amin(1, keepdim=True)
        arguments["principal_point"] = -(CAMERA.center - SIZE.flip(1) / 2) * 2 / shorter
        arguments["focal_length"] = arguments["focal_length"] * 2 / shorter
    cameras = SimpleNamespace(**{**arguments, "in_ndc": lambda: ndc})
    camera, rotation, translation = from_perspective_cameras(cameras)
    ours = world @ rotation.mT + translation[:, None]
    torch.testing.assert_close(camera.project(ours), expected, atol=5e-3, rtol=0)
    torch.testing.assert_close(camera.focal, CAMERA.focal)
    torch.testing.assert_close(camera.center, CAMERA.center, atol=1e-3, rtol=0)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="height and width"):
        camera_arguments(CAMERA, torch.tensor([480.0, 640.0]))
    arguments = camera_arguments(CAMERA, SIZE)
    arguments["focal_length"] = torch.tensor([[700.0, 600.0], [700.0, 600.0]])
    with pytest.raises(ValueError, match="pixels must be square"):
        from_perspective_cameras(SimpleNamespace(**{**arguments, "in_ndc": lambda: False}))
    with pytest.raises(ValueError, match="NDC without an image_size"):
        from_perspective_cameras(SimpleNamespace(**{**arguments, "image_size": None, "in_ndc": lambda: True}))
    with pytest.raises(ValueError, match=r"vertices must have shape"):
        to_meshes(torch.zeros(5, 3), torch.zeros(2, 3))


def test_meshes_share_a_topology() -> None:
    vertices, faces = torch.randn(2, 5, 3), torch.tensor([[0, 1, 2], [2, 3, 4]])
    meshes = SimpleNamespace(verts_list=lambda: list(vertices), faces_list=lambda: [faces, faces])
    back = from_meshes(meshes)
    assert torch.equal(back[0], vertices) and torch.equal(back[1], faces)
    with pytest.raises(ValueError, match="one topology"):
        from_meshes(
            SimpleNamespace(verts_list=lambda: list(vertices), faces_list=lambda: [faces, faces.flip(0)])
        )


def test_its_absence_is_said() -> None:
    import importlib.util

    if importlib.util.find_spec("pytorch3d") is not None:
        pytest.skip("PyTorch3D is installed")
    with pytest.raises(ModuleNotFoundError, match="PyTorch3D is not installed"):
        to_perspective_cameras(CAMERA, SIZE)


def test_with_the_package() -> None:
    pytest.importorskip("pytorch3d", reason="PyTorch3D is not installed (no wheel for most machines)")
    cameras = to_perspective_cameras(CAMERA, SIZE)
    pixels = cameras.transform_points_screen(points())[..., :2]
    torch.testing.assert_close(pixels, CAMERA.project(points()), atol=5e-3, rtol=0)
    camera, rotation, _ = from_perspective_cameras(cameras)
    torch.testing.assert_close(camera.focal, CAMERA.focal)
    torch.testing.assert_close(rotation, torch.eye(3).expand(2, 3, 3))
    vertices, faces = torch.randn(2, 5, 3), torch.tensor([[0, 1, 2], [2, 3, 4]])
    back = from_meshes(to_meshes(vertices, faces))
    assert torch.equal(back[0], vertices) and torch.equal(back[1], faces)
