"""Which detector is used: the first that is installed, or the one that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from apu_contacts.detect.detector import KeypointDetector
from apu_contacts.detect.mediapipe_pose import MediapipeDetector
from apu_contacts.detect.models import DetectorModels, named_models

DETECTORS = ("pose", "mediapipe")
"""What may be used, in the order in which it is looked for: the extras that install them."""
_PACKAGES = {
    "pose": ("rtmlib", "onnxruntime", "cv2"),
    # what it imports when it is loaded; pip may have been told to leave its dependencies out
    "mediapipe": ("mediapipe", "absl", "attr", "cv2", "flatbuffers", "google.protobuf", "matplotlib"),
}
_WHAT = {
    "pose": "133 keypoints, weights are fetched once",
    "mediapipe": "33 keypoints and 3D landmarks, weights ship with the package",
}


def chosen_detector(wanted: str = "auto", *, own_weights: bool = False) -> str:
    """One of `DETECTORS`: the one that is wanted, or the first that is installed.

    Args:
        wanted: one of them, or ``"auto"``.
        own_weights: whether the user names weights, which only ``"pose"`` takes.

    Raises:
        ValueError: neither of them, or weights for MediaPipe, whose package has its own.
        ModuleNotFoundError: it is not installed, or none is; every package that is missing is named, with the
            extra that brings it.
    """
    if wanted not in ("auto", *DETECTORS):
        raise ValueError(f"detector must be auto, {' or '.join(DETECTORS)}, got {wanted!r}")
    if own_weights and wanted == "mediapipe":
        raise ValueError(
            "own weights (--person-weights, --pose-weights) are for detector pose, not mediapipe"
        )
    looked_for = ("pose",) if own_weights else DETECTORS if wanted == "auto" else (wanted,)
    lacking = {name: missing_packages(name) for name in looked_for}
    found = next((name for name, missing in lacking.items() if not missing), None)
    if found is not None:
        return found
    ways = [
        f"{name} ({_WHAT[name]}) lacks {', '.join(missing)}: pip install 'apu-losses[{name}]'"
        for name, missing in lacking.items()
    ]
    first = next(iter(lacking.values()))[0]
    raise ModuleNotFoundError(f"no detector is installed: {'; or '.join(ways)}", name=first)


def missing_packages(detector: str) -> list[str]:
    """Return the packages that one of `DETECTORS` imports and that are not here."""
    return [package for package in _PACKAGES[detector] if not _is_here(package)]


def _is_here(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package inside another, the other
        return False


def open_detector(
    wanted: str = "auto",
    *,
    model: str = "wholebody",
    models: DetectorModels | None = None,
    device: str = "cpu",
    min_box_score: float = 0.3,
    progress: Callable[[float, str], None] | None = None,
) -> KeypointDetector | MediapipeDetector:
    """Return a detector that is ready to look at pictures.

    Args:
        wanted: as of `chosen_detector`.
        model: one of `DETECTOR_NAMES`, for ``"pose"``.
        models: its weights, in place of those of ``model``.
        device: as of `KeypointDetector`; MediaPipe computes on the CPU.
        min_box_score: below which nobody is there.
        progress: told of weights that are being fetched.

    Raises:
        ValueError: an unknown detector, model or device.
        ModuleNotFoundError: as of `chosen_detector`.
        WeightsError: weights that cannot be had; all of them are named, and MediaPipe where it is installed.
    """
    from apu_contacts.detect.weights import WeightsError

    if chosen_detector(wanted, own_weights=models is not None) == "mediapipe":
        return MediapipeDetector(min_confidence=min_box_score)
    try:
        return KeypointDetector(
            models or named_models(model), device=device, min_box_score=min_box_score, progress=progress
        )
    except WeightsError as error:
        if wanted != "auto" or models is not None or missing_packages("mediapipe"):
            raise
        # weights that are missing must not change in silence who is found
        raise WeightsError(f"{error}; or take what is installed with its weights: mediapipe") from error
