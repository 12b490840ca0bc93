"""Which weights make a detector: a finder of people, a finder of keypoints, and what its scores mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

_SIZES = {"small": "lightweight", "": "balanced", "large": "performance"}

WHOLEBODY_SCORE_SCALE = 5.0
"""Scores of RTMW (wholebody) for joints in plain sight: 4.6 to 6.3 in MMPose's issue 2939."""

BODY_SCORE_SCALE = 1.0
"""RTMPose's body models peak near 1."""

_KINDS = {"wholebody": "Wholebody", "feet": "BodyWithFeet", "body": "Body"}  # rtmlib's names
DETECTOR_NAMES: tuple[str, ...] = tuple(
    f"{kind}-{size}" if size else kind for kind in _KINDS for size in ("", "small", "large")
)
"""``wholebody`` finds 133 keypoints (body, feet, face, hands), ``feet`` Halpe's 26 and ``body`` COCO's 17."""


@dataclass(frozen=True)
class DetectorModels:
    """Two models and how to read them.

    Args:
        person: path or address of a YOLOX in ONNX that finds people; see `fetch_weights`.
        pose: path or address of an RTMPose or RTMW in ONNX that finds the keypoints of one person.
        person_size: height and width of the input of ``person``, where its file leaves them open.
        pose_size: width and height of the input of ``pose``, likewise.
        score_scale: which score of ``pose`` means certain. SimCC scores are peaks of two curves without a
            fixed range; a keypoint's confidence is its score divided by this, cut to [0, 1].
        pose_channels: order of the colours that ``pose`` was trained with. RTMPose's configurations turn
            pictures to RGB; YOLOX takes them as OpenCV reads them, BGR.
    """

    person: str | Path
    pose: str | Path
    person_size: tuple[int, int] = (640, 640)
    pose_size: tuple[int, int] = (192, 256)
    score_scale: float = 1.0
    pose_channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if not self.score_scale > 0:
            raise ValueError(f"score_scale must be positive, got {self.score_scale}")
        if self.pose_channels not in ("rgb", "bgr"):
            raise ValueError(f"pose_channels must be 'rgb' or 'bgr', got {self.pose_channels!r}")


def named_models(name: str) -> DetectorModels:
    """Return the models of a name of `DETECTOR_NAMES`: the addresses that the installed rtmlib lists.

    Raises:
        ValueError: on an unknown name.
        ModuleNotFoundError: without the packages of the extra ``[pose]``.
    """
    if name not in DETECTOR_NAMES:
        raise ValueError(f"model must be one of {', '.join(DETECTOR_NAMES)}, got {name!r}")
    kind, _, size = name.partition("-")
    rtmlib = import_rtmlib()
    listed = getattr(rtmlib, _KINDS[kind]).MODE[_SIZES[size]]
    return DetectorModels(
        listed["det"],
        listed["pose"],
        listed["det_input_size"],
        listed["pose_input_size"],
        WHOLEBODY_SCORE_SCALE if kind == "wholebody" else BODY_SCORE_SCALE,
    )


def own_models(person: str | None, pose: str | None, others: DetectorModels | None = None) -> DetectorModels:
    """Return the user's own weights where given, those of ``others`` where not.

    A pose model of one's own is read with score scale 1 until told otherwise; where a file leaves the size of
    its input open, it is that of ``others``, or `DetectorModels`' default.

    Raises:
        ValueError: if one is missing and there are no others.
    """
    if others is None:
        if person is None or pose is None:
            raise ValueError("weights of both models are needed where no named ones fill in")
        return DetectorModels(person, pose)
    return replace(
        others,
        person=person or others.person,
        pose=pose or others.pose,
        score_scale=1.0 if pose else others.score_scale,
    )


def import_rtmlib() -> Any:
    """Return the rtmlib package, with the runtime that it needs.

    Raises:
        ModuleNotFoundError: naming the package that is missing, and the extra.
    """
    try:
        import cv2  # noqa: F401
        import onnxruntime  # noqa: F401
        import rtmlib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"detecting keypoints needs {error.name}: pip install 'apu-losses[pose]'", name=error.name
        ) from error
    except ImportError as error:
        # opencv-python without a display's libraries
        raise ImportError(
            f"OpenCV cannot be imported ({error}); on a machine without a display: pip uninstall "
            "opencv-python opencv-contrib-python, then pip install opencv-python-headless"
        ) from error
    return rtmlib
