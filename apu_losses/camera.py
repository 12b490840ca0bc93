"""Projecting with many pinhole cameras at once; one alone, as data, is `apu_contacts.camera.Camera`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_contacts.camera import Camera

MIN_DEPTH = 0.05  # metres; nearer points and those behind the camera have no true pixel


@dataclass(frozen=True)
class PinholeCamera:
    """Pinhole cameras in the OpenCV frame: +X right, +Y down, +Z forward, pixels from the top-left corner.

    Args:
        focal: ``(N,)`` focal lengths in pixels; pixels are square.
        center: ``(N, 2)`` principal points in pixels.

    Raises:
        ValueError: on shapes that do not agree, or focal lengths that are not positive and finite.

    Example:
        >>> import torch
        >>> from apu_losses import PinholeCamera
        >>> camera = PinholeCamera(torch.tensor([1000.0]), torch.tensor([[320.0, 240.0]]))
        >>> camera.project(torch.tensor([[[0.1, 0.2, 2.0]]]))
        tensor([[[370., 340.]]])
    """

    focal: Tensor
    center: Tensor

    def __post_init__(self) -> None:
        if self.focal.ndim != 1:
            raise ValueError(f"focal must have shape (N,), got {tuple(self.focal.shape)}")
        if tuple(self.center.shape) != (len(self.focal), 2):
            raise ValueError(f"center must have shape ({len(self.focal)}, 2), got {tuple(self.center.shape)}")
        if not bool((torch.isfinite(self.focal) & (self.focal > 0)).all()):
            raise ValueError("focal must be positive and finite, in pixels")
        if not bool(torch.isfinite(self.center).all()):
            raise ValueError("center must be finite, in pixels")

    @staticmethod
    def from_image_size(
        width: float | Tensor,
        height: float | Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> PinholeCamera:
        """Cameras of images whose focal length is unknown.

        The longer side of the image is taken to span 60 degrees (`Camera.from_image_size`), so that
        ``focal = max(width, height) / (2 tan 30 deg)``, which is what BEV assumes.

        Args:
            width: width of the image in pixels, or ``(N,)`` widths.
            height: height, likewise.
            dtype: floating-point type.
            device: where the camera lives.

        Raises:
            ValueError: if a size is not positive.
        """
        sizes = [torch.as_tensor(s, dtype=torch.float64, device="cpu").reshape(-1) for s in (width, height)]
        pairs = torch.stack(torch.broadcast_tensors(*sizes), 1).tolist()
        cameras = [Camera.from_image_size(*pair) for pair in pairs]
        return PinholeCamera.stack(cameras, dtype=dtype, device=device)

    @staticmethod
    def stack(
        cameras: Sequence[Camera],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> PinholeCamera:
        """N cameras, given one by one."""
        focal = torch.tensor([camera.focal for camera in cameras], dtype=dtype, device=device)
        center = torch.tensor([camera.center for camera in cameras], dtype=dtype, device=device)
        return PinholeCamera(focal, center.reshape(-1, 2))

    def __len__(self) -> int:
        return len(self.focal)

    def rows(self, index: Tensor) -> PinholeCamera:
        """Return the cameras of the given rows, such as the image of each body: ``(K,)`` int64 in, K cameras
        out.
        """
        return PinholeCamera(self.focal[index], self.center[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PinholeCamera:
        """Return the same cameras on another device or in another floating-point type."""
        return PinholeCamera(self.focal.to(device, dtype), self.center.to(device, dtype))

    def project(self, points: Tensor) -> Tensor:
        """Pixels where points are seen.

        A point nearer than ``MIN_DEPTH`` (5 cm) or behind the camera has no true pixel. There the factor 1/z
        is continued by its tangent at ``MIN_DEPTH``: pixels and gradients stay finite and continuous, the
        pixel moves out on its own side of the image as the point goes back, and the gradient pushes it
        forward again. ``visible`` tells which points have a true pixel.

        Args:
            points: ``(N, K, 3)`` metres; N is 1 or that of the cameras.

        Returns:
            ``(N, K, 2)`` pixels.

        Raises:
            ValueError: on a shape that does not fit.
        """
        self._check(points)
        return self.center[:, None] + self.focal[:, None, None] * points[..., :2] * _inverse(points[..., 2:])

    def project_jacobian(self, points: Tensor) -> Tensor:
        """Return derivative of `project`: ``(N, K, 3)`` points to ``(N, K, 2, 3)`` pixels a metre."""
        self._check(points)
        depth = points[..., 2:]
        inverse = _inverse(depth)
        slope = -torch.clamp(inverse, max=1 / MIN_DEPTH).square()
        plane = torch.diag_embed(inverse.expand(*inverse.shape[:-1], 2))
        jacobian = torch.cat([plane, (points[..., :2] * slope)[..., None]], -1)
        return self.focal[:, None, None, None] * jacobian

    def visible(self, points: Tensor) -> Tensor:
        """``(N, K)`` bool: points farther than ``MIN_DEPTH`` in front of the camera."""
        self._check(points)
        return points[..., 2] > MIN_DEPTH

    def _check(self, points: Tensor) -> None:
        count = len(self.focal)
        if (
            points.ndim != 3
            or points.shape[2] != 3
            or (points.shape[0] != count and 1 not in (count, points.shape[0]))
        ):
            raise ValueError(f"points must have shape ({count}, K, 3), got {tuple(points.shape)}")


def _inverse(depth: Tensor) -> Tensor:
    """1 / z, continued by its tangent below ``MIN_DEPTH``."""
    near = depth < MIN_DEPTH
    safe = torch.where(near, torch.full_like(depth, MIN_DEPTH), depth)
    return torch.where(near, 2 / MIN_DEPTH - depth / MIN_DEPTH**2, 1 / safe)
