"""Depth maps of a picture: metres a pixel, as MoGe-2, UniDepth, Depth Pro and Depth Anything are saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.images import PICTURE_ENDINGS, PictureError, read_levels
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.reading import ArrayFile, read_array, read_json
from apu_contacts.sources.errors import SourceFormatError, SourceMissingError
from apu_contacts.sources.masks import PersonMask

MAX_SIDE = 20_000
"""Longest side of a depth map."""

_DEPTHS = ("depth", "depth_map", "metric_depth", "pred_depth", "predicted_depth", "arr_0")
_MATRICES = ("intrinsics", "K", "camera_intrinsics", "cam_int")
_FOCALS = ("focallength_px", "focal_length", "f_px", "focal")
_MILLIMETRES = 1000.0
_FARTHEST = 1000.0
"""Metres of the median from which values are taken for millimetres: nobody is seen in such a picture."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """How far away what a picture shows is.

    Args:
        depth: ``(H, W)`` metres along the viewing direction; NaN, 0 and less, and infinity: not known (sky).
        camera: in pixels of this map, where the file says it.

    Raises:
        SourceFormatError: no array ``(H, W)`` of numbers, or one that is nowhere known.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import DepthMap
        >>> DepthMap(np.array([[2.0, 0.0], [2.5, np.inf]])).depth.tolist()
        [[2.0, nan], [2.5, nan]]
    """

    depth: NDArray[np.float32]
    camera: Camera | None = None

    def __post_init__(self) -> None:
        depth = np.asarray(self.depth)
        if depth.ndim != 2 or depth.dtype.kind not in "iuf" or not min(depth.shape, default=0) >= 2:
            raise SourceFormatError(f"depth must be numbers (H, W), got {depth.dtype} {depth.shape}")
        if max(depth.shape) > MAX_SIDE:
            raise SourceFormatError(f"depth must have at most {MAX_SIDE} pixels on a side, got {depth.shape}")
        depth = depth.astype(np.float32)
        known = np.isfinite(depth) & (depth > 0)
        if not known.any():
            raise SourceFormatError("depth must be metres above 0 somewhere; it is known nowhere")
        object.__setattr__(self, "depth", np.where(known, depth, np.float32(np.nan)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.depth.shape[1], self.depth.shape[0]

    def camera_of(self, width: int, height: int) -> Camera | None:
        """Return the camera in pixels of a picture of that size; None where the file says none.

        Raises:
            SourceFormatError: a picture of other proportions.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import Camera, DepthMap
            >>> depth = DepthMap(np.ones((240, 320)), Camera(280.0, (160.0, 120.0)))
            >>> depth.camera_of(640, 480)
            Camera(focal=560.0, center=(320.0, 240.0))
        """
        self.check_size(width, height)
        if self.camera is None:
            return None
        factor = width / self.size[0]
        x, y = self.camera.center
        return Camera(self.camera.focal * factor, (x * factor, y * factor))

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture of other proportions than this map.

        Raises:
            SourceFormatError: they differ by more than 2 %, beyond what whole pixels explain.
        """
        own = self.size
        off = abs(own[0] * height - own[1] * width)
        if off > 0.02 * own[0] * height + max(own) + max(width, height):
            raise SourceFormatError(
                f"depth must have the proportions of the picture of {width} x {height} pixels, got "
                f"{own[0]} x {own[1]}; was one of them cropped, padded or turned?"
            )


def depths_at(
    depth: DepthMap,
    keypoints: Keypoints2D,
    width: int,
    height: int,
    mask: PersonMask | None = None,
    *,
    reach: float = 0.006,
) -> NDArray[np.float64]:
    """Return how far away the surface is that the picture shows at a person's keypoints.

    The median of a small square about each keypoint, of the mask's pixels alone where there is one: a square
    at an edge also sees what is behind.

    Args:
        depth: of the picture, at any resolution.
        keypoints: ``(K, 2)`` in pixels of the picture.
        width, height: of the picture, pixels.
        mask: of the person, at any resolution.
        reach: half a side of the square, as a share of the picture's longer side.

    Returns:
        ``(K,)`` metres; NaN where the joint was not seen, lies outside, or where less than a quarter of the
        square is known.

    Raises:
        SourceFormatError: a picture of other proportions.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import DepthMap, Keypoints2D, depths_at
        >>> steps = DepthMap(np.repeat([[2.0, 3.0]], 100, 0).repeat(50, 1))
        >>> seen = Keypoints2D("coco17", np.tile([[20.0, 50.0]], (17, 1)), np.ones(17))
        >>> depths_at(steps, seen, 100, 100)[0]
        np.float64(2.0)
    """
    depth.check_size(width, height)
    columns, rows = depth.size
    inside = None if mask is None else mask.resized(columns, rows)
    half = max(1, round(reach * max(depth.size)))
    found = np.full(len(keypoints.xy), np.nan)
    for number, ((x, y), seen) in enumerate(zip(keypoints.xy, keypoints.valid, strict=True)):
        if not seen or not (0 <= x < width and 0 <= y < height):
            continue
        column, row = int(x * columns / width), int(y * rows / height)
        square = np.s_[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
        values = depth.depth[square]
        known = np.isfinite(values)
        if inside is not None:
            known &= inside[square]
        if known.sum() * 4 >= values.size:
            found[number] = np.median(values[known])
    return found


def read_depth_map(path: str | Path) -> DepthMap:
    """Return the depth map of a file.

    - ``.npy``: metres; leading axes of one are dropped;
    - ``.npz``: ``depth`` (or ``depth_map``, ``metric_depth``, ``pred_depth``, ``predicted_depth``), and the
      camera where there is ``intrinsics`` or ``K`` ``(3, 3)``, in pixels or normalised by width and height
      (MoGe), ``focallength_px`` (Depth Pro) or ``fov_x`` in degrees;
    - a 16-bit picture of one channel: millimetres.

    A ``fov.json`` in the same folder (MoGe writes it) gives the camera where the file itself does not.
    Relative depth and disparity (Depth Anything without "metric") are not metres and cannot be told apart by
    their numbers: do not give them.

    Raises:
        SourceMissingError: no such file.
        SourceFormatError: what is no depth map, or in millimetres where metres are expected.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from apu_contacts import read_depth_map
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "depth.npz"
        >>> np.savez(path, depth=np.full((2, 3), 2.5), fov_x=90.0)
        >>> found = read_depth_map(path)
        >>> found.size, round(found.camera.focal, 3)
        ((3, 2), 1.5)
    """
    path = Path(path)
    try:
        depth, camera = _read(path)
        beside = path.parent / "fov.json"
        if camera is None and beside.is_file():
            camera = _camera_of_fov(read_json(beside, SourceFormatError), depth.shape)
        found = DepthMap(depth, camera)
    except FileNotFoundError:
        raise SourceMissingError(f"{path}: no such file") from None
    except PictureError as error:
        raise SourceFormatError(str(error)) from None
    except ValueError as error:
        said = str(error)
        raise SourceFormatError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    middle = float(np.nanmedian(found.depth))
    if middle > _FARTHEST:
        raise SourceFormatError(
            f"{path}: depth must be metres, got a median of {middle:.0f}; are these millimetres, or "
            "disparity?"
        )
    return found


def _read(path: Path) -> tuple[NDArray[Any], Camera | None]:
    ending = path.suffix.lower()
    if ending == ".npz":
        with ArrayFile(path, SourceFormatError) as archive:
            name = next((name for name in _DEPTHS if name in archive), None)
            if name is None:
                raise SourceFormatError(
                    f"expected an array called {', '.join(_DEPTHS)}, found {', '.join(archive.names[:8])}"
                )
            depth = _plane(archive[name])
            return depth, _camera_of_arrays(archive, depth.shape)
    if ending in PICTURE_ENDINGS:
        if not path.is_file():
            raise FileNotFoundError(str(path))
        levels = read_levels(path)
        if levels.dtype.kind not in "iu" or levels.dtype.itemsize < 2:
            raise SourceFormatError("expected a picture of 16 bits, millimetres; 8 bits are a coloured view")
        return _plane(levels) / _MILLIMETRES, None
    return _plane(read_array(path, SourceFormatError)), None


def _plane(values: Any) -> NDArray[Any]:
    """``(H, W)`` of an array with further axes of one."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise SourceFormatError(f"depth must be numbers, got {array.dtype}")
    while array.ndim > 2 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise SourceFormatError(f"depth must be (H, W), got shape {np.shape(values)}; one picture a file")
    return array


def _camera_of_arrays(archive: ArrayFile, shape: tuple[int, ...]) -> Camera | None:
    height, width = shape
    for name in _MATRICES:
        if name in archive:
            matrix = np.asarray(archive[name])
            if matrix.dtype.kind not in "iuf" or matrix.size != 9 or not np.isfinite(matrix).all():
                raise SourceFormatError(f"{name} must be finite numbers (3, 3), got {matrix.shape}")
            matrix = matrix.reshape(3, 3).astype(np.float64)
            if matrix[0, 2] <= 2:  # a centre within the first two pixels: normalised, as MoGe's
                matrix = np.diag([width, height, 1.0]) @ matrix
            return Camera.from_intrinsics(matrix)
    for name in _FOCALS:
        if name in archive:
            return Camera(_number(name, archive[name]), (width / 2, height / 2))
    if "fov_x" in archive:
        return _camera_of_fov({"fov_x": _number("fov_x", archive["fov_x"])}, shape)
    return None


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise SourceFormatError(f"{name} must be one number, got {array.dtype} {array.shape}")
    return float(array.ravel()[0])


def _camera_of_fov(data: Any, shape: tuple[int, ...]) -> Camera | None:
    fov = data.get("fov_x") if isinstance(data, dict) else None
    if not isinstance(fov, int | float) or isinstance(fov, bool):
        return None
    if not 1 < fov < 179:
        raise SourceFormatError(f"fov_x must be degrees between 1 and 179, got {fov}; are these radians?")
    height, width = shape
    return Camera(width / (2 * math.tan(math.radians(fov / 2))), (width / 2, height / 2))
