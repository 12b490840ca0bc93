"""The pinhole camera, against the formula in float64 and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from apu_contacts.camera import Camera
from apu_losses.camera import MIN_DEPTH, PinholeCamera


def test_projection_is_the_pinhole_formula() -> None:
    camera = PinholeCamera(torch.tensor([500.0, 1000.0]), torch.tensor([[320.0, 240.0], [100.0, 50.0]]))
    points = torch.tensor([[[0.0, 0.0, 3.0], [1.0, -0.5, 2.0]], [[0.0, 0.0, 1.0], [0.3, 0.2, 4.0]]])
    expected = torch.tensor([[[320.0, 240.0], [570.0, 115.0]], [[100.0, 50.0], [175.0, 100.0]]])
    torch.testing.assert_close(camera.project(points), expected)
    assert camera.visible(points).all()


def test_image_size_gives_sixty_degrees_over_the_longer_side() -> None:
    camera = PinholeCamera.from_image_size(640, 480)
    torch.testing.assert_close(camera.focal, torch.tensor([320 / math.tan(math.radians(30))]))
    torch.testing.assert_close(camera.center, torch.tensor([[320.0, 240.0]]))
    edge = torch.tensor([[[math.tan(math.radians(30)), 0.0, 1.0]]])
    torch.testing.assert_close(camera.project(edge)[0, 0], torch.tensor([640.0, 240.0]))
    several = PinholeCamera.from_image_size(
        torch.tensor([640, 300]), torch.tensor([480, 900]), dtype=torch.float64
    )
    assert len(several) == 2 and several.focal.dtype == torch.float64
    torch.testing.assert_close(several.focal[1], torch.tensor(450 / math.tan(math.radians(30))).double())
    chosen = several.rows(torch.tensor([1, 1, 0]))
    torch.testing.assert_close(chosen.center, several.center[[1, 1, 0]])


def test_many_cameras_project_as_each_alone() -> None:
    alone = [Camera.from_image_size(640, 480), Camera(900.0, (10.0, -20.0))]
    several = PinholeCamera.stack(alone, dtype=torch.float64)
    points = np.random.default_rng(0).normal(size=(2, 5, 3)) + np.array([0.0, 0.0, 6.0])
    expected = np.stack([camera.project(xyz) for camera, xyz in zip(alone, points, strict=True)])
    np.testing.assert_allclose(several.project(torch.tensor(points)).numpy(), expected)
    assert PinholeCamera.from_image_size(640, 480, dtype=torch.float64).focal.item() == alone[0].focal


def test_a_camera_of_intrinsics_projects_as_the_matrix() -> None:
    matrix = np.array([[700.0, 0, 310], [0, 700, 220], [0, 0, 1]])
    point = np.array([0.3, -0.2, 2.0])
    pixel = matrix @ point
    np.testing.assert_allclose(Camera.from_intrinsics(matrix).project(point), pixel[:2] / pixel[2])
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        Camera.from_intrinsics(matrix[:2])
    for size, fov in (((0, 10), 60), ((10, math.nan), 60), ((10, 10), 180)):
        with pytest.raises(ValueError, match="must"):
            Camera.from_image_size(*size, fov=fov)


def test_float32_keeps_a_hundredth_of_a_pixel_sixty_metres_away() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1, 1000, 3, generator=generator, dtype=torch.float64) * 10
    points[..., 2] = points[..., 2] * 0.1 + 60
    exact = PinholeCamera.from_image_size(4000, 3000, dtype=torch.float64)
    single = exact.to(dtype=torch.float32)
    error = single.project(points.float()).double() - exact.project(points)
    assert error.abs().max() < 0.01


@pytest.mark.parametrize("depth", [60.0, 2.0, MIN_DEPTH * 1.01, MIN_DEPTH * 0.9, 0.0, -1.0, -60.0])
def test_gradients_are_finite_and_right_at_every_depth(depth: float) -> None:
    camera = PinholeCamera.from_image_size(640, 480, dtype=torch.float64)
    points = torch.tensor([[[0.3, -0.2, depth], [0.0, 0.0, depth]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(camera.project, (points,))
    pixels = camera.project(points)
    assert torch.isfinite(pixels).all()
    assert (pixels[0, 0, 0] > 320) and (pixels[0, 0, 1] < 240), "on its own side of the image"
    assert bool(camera.visible(points)[0, 0]) == (depth > MIN_DEPTH)


def test_the_continuation_behind_the_camera_is_smooth_and_pushes_forward() -> None:
    camera = PinholeCamera.from_image_size(640, 480, dtype=torch.float64)
    depth = torch.tensor([MIN_DEPTH - 1e-9, MIN_DEPTH + 1e-9], dtype=torch.float64, requires_grad=True)
    points = torch.stack([torch.full_like(depth, 0.1), torch.zeros_like(depth), depth], -1)[None]
    pixels = camera.project(points)[0, :, 0]
    (slope,) = torch.autograd.grad(pixels.sum(), depth)
    torch.testing.assert_close(pixels[0], pixels[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(slope[0], slope[1], rtol=1e-6, atol=0)
    behind = torch.tensor([[[0.1, 0.0, -2.0]]], dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad((camera.project(behind) - camera.center).square().sum(), behind)
    assert pull[0, 0, 2] < 0, "a step against the gradient moves the point forward"


@pytest.mark.parametrize(
    ("focal", "center", "message"),
    [
        (torch.ones(2, 1), torch.zeros(2, 2), r"focal must have shape \(N,\)"),
        (torch.ones(2), torch.zeros(3, 2), r"center must have shape \(2, 2\), got \(3, 2\)"),
        (torch.zeros(1), torch.zeros(1, 2), "focal must be positive"),
        (torch.tensor([math.nan]), torch.zeros(1, 2), "focal must be positive"),
        (torch.ones(1), torch.full((1, 2), math.inf), "center must be finite"),
    ],
)
def test_bad_cameras_are_refused(focal: torch.Tensor, center: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PinholeCamera(focal, center)


def test_bad_points_and_sizes_are_refused() -> None:
    camera = PinholeCamera(torch.ones(2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"points must have shape \(2, K, 3\), got \(3, 4, 3\)"):
        camera.project(torch.zeros(3, 4, 3))
    with pytest.raises(ValueError, match=r"got \(4, 3\)"):
        camera.project(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"must be positive \(pixels\), got 0.0 x 480.0"):
        PinholeCamera.from_image_size(0, 480)
