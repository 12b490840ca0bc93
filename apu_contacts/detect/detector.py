"""People and their keypoints in a picture, by YOLOX and RTMPose as the rtmlib package runs them.

rtmlib's own `Wholebody` takes the whole picture for a person where it finds nobody; so its two halves are
used here one by one.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.detect.models import DetectorModels, import_rtmlib, named_models
from apu_contacts.detect.weights import WeightsError, fetch_weights
from apu_contacts.files import staged_file
from apu_contacts.images import read_picture
from apu_contacts.keypoints import Keypoints2D
from apu_contacts.reading import read_arrays
from apu_contacts.sources.errors import SourceFormatError
from apu_contacts.sources.keypoint_files import keypoints_from_arrays, skeleton_of_count

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]
_BINS_PER_PIXEL = 2  # of the SimCC curves; rtmlib knows no other
_STRIDES = (8, 16, 32)  # of YOLOX's three grids
_PERSON_COLUMNS = 6  # x, y, width, height, objectness, and COCO's first class: person


@dataclass(frozen=True, eq=False)
class DetectedPeople:
    """Who is in a picture.

    Args:
        skeleton: name of the keypoints' order.
        xy: ``(N, J, 2)`` pixels of the upright picture.
        confidence: ``(N, J)`` in [0, 1].
        scores: ``(N, J)`` as the model gave them, of any scale.
        boxes: ``(N, 4)`` x0, y0, x1, y1 in pixels, cut to the picture.
        size: width and height of the picture.
        landmarks: ``(N, J, 3)`` metres from the middle of the hips, axes as the camera's, of a detector that
            gives them; None otherwise.
    """

    skeleton: str
    xy: Array
    confidence: Array
    scores: Array
    boxes: Array
    size: tuple[int, int]
    landmarks: Array | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def people(self) -> list[Keypoints2D]:
        """The keypoints of each."""
        return keypoints_from_arrays(self.xy, self.confidence, skeleton=self.skeleton)

    def save(self, path: str | Path, made_from: str | None = None) -> None:
        """Write an ``.npz`` that `read_keypoint_arrays` reads: ``keypoints``, ``scores`` (the confidences),
        ``raw_scores``, ``boxes``, ``size``; ``landmarks``, where there are; ``made_from``, where it is given.
        """
        more: dict[str, Any] = {} if self.landmarks is None else {"landmarks": self.landmarks}
        if made_from is not None:
            more |= {"made_from": np.array(made_from), "skeleton": np.array(self.skeleton)}
        with staged_file(path) as part, part.open("wb") as stream:
            np.savez_compressed(
                stream,
                keypoints=self.xy,
                scores=self.confidence,
                raw_scores=self.scores,
                boxes=self.boxes,
                size=np.array(self.size),
                **more,
            )

    @classmethod
    def kept(cls, path: str | Path, made_from: str) -> DetectedPeople | None:
        """Return who was found before, from a file that `save` made from the same; else None."""
        path = Path(path)
        if not path.is_file():
            return None
        try:
            arrays = read_arrays(path)
            if str(arrays["made_from"]) != made_from:
                return None
            width, height = arrays["size"].tolist()
            return cls(
                str(arrays["skeleton"]),
                arrays["keypoints"],
                arrays["scores"],
                arrays["raw_scores"],
                arrays["boxes"],
                (width, height),
                arrays.get("landmarks"),
            )
        except (KeyError, ValueError):  # somebody else's, or damaged: it is found again
            return None


class KeypointDetector:
    """Finds people, then the keypoints of each.

    Args:
        models: which; see `named_models`.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or another of rtmlib's.
        min_box_score: below which a box is nobody.
        progress: told of weights that are being fetched.

    Raises:
        ModuleNotFoundError: without the packages of the extra ``[pose]``.
        WeightsError: weights that cannot be had or are no such model.
        ValueError: a device that the runtime does not have.
    """

    def __init__(
        self,
        models: DetectorModels,
        *,
        device: str = "cpu",
        min_box_score: float = 0.3,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        rtmlib = import_rtmlib()
        self.models = models
        self._min_box_score = min_box_score
        person, pose = fetch_both(models, progress)
        _check_device(device)
        self._find = _load(
            lambda: rtmlib.YOLOX(
                str(person), models.person_size, score_thr=min_box_score, backend="onnxruntime", device=device
            ),
            person,
        )
        self._pose = _load(
            lambda: rtmlib.RTMPose(str(pose), models.pose_size, backend="onnxruntime", device=device), pose
        )
        self._find.model_input_size = _input_size(self._find, models.person_size, person)
        height, width = _input_size(self._pose, models.pose_size[::-1], pose)
        self._pose.model_input_size = (width, height)
        self.skeleton = _checked_pose(self._pose, pose)

    @classmethod
    def load(cls, name: str = "wholebody", **options: Any) -> KeypointDetector:
        """One of `DETECTOR_NAMES`; its weights are fetched by this machine the first time.

        Raises:
            ValueError: on an unknown name, and as the class.
            ModuleNotFoundError: without the packages of the extra ``[pose]``.
        """
        return cls(named_models(name), **options)

    def __call__(self, picture: str | Path | NDArray[np.uint8]) -> DetectedPeople:
        """Everybody in a picture, from the surest box to the least sure; nobody is an empty result.

        Args:
            picture: a file, read by `read_picture`, or ``(H, W, 3)`` 8-bit RGB.

        Raises:
            ValueError: on a file that is no picture, or another array.
            WeightsError: a model whose output is not as its kind's.
        """
        rgb = read_picture(picture) if isinstance(picture, str | Path) else np.asarray(picture)
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ValueError(f"picture must be (H, W, 3) 8-bit RGB, got {rgb.shape} {rgb.dtype}")
        height, width = rgb.shape[:2]
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        boxes = self._boxes(bgr)
        joints = len(self._skeleton_joints())
        if not len(boxes):
            none = np.zeros((0, joints))
            return DetectedPeople(
                self.skeleton, np.zeros((0, joints, 2)), none, none, np.zeros((0, 4)), (width, height)
            )
        # rtmlib takes an empty list of boxes for the whole picture: never reached here
        seen = bgr if self.models.pose_channels == "bgr" else np.ascontiguousarray(rgb)
        xy, scores = (np.asarray(v, dtype=np.float64) for v in self._pose(seen, bboxes=list(boxes)))
        if xy.shape != (len(boxes), joints, 2) or not np.isfinite(scores).all():
            raise WeightsError(
                f"{self.models.pose}: gave {xy.shape} keypoints for {len(boxes)} people, some perhaps not "
                "finite; not an RTMPose model?"
            )
        confidence = np.clip(scores / self.models.score_scale, 0.0, 1.0)
        xy = np.where(confidence[..., None] > 0, xy, 0.0)
        return DetectedPeople(self.skeleton, xy, confidence, scores, boxes, (width, height))

    def _skeleton_joints(self) -> tuple[str, ...]:
        from apu_contacts.keypoints import SKELETONS

        return SKELETONS[self.skeleton].joint_names

    def _boxes(self, bgr: NDArray[np.uint8]) -> Array:
        """``(N, 4)`` boxes of people, the surest first, cut to the picture."""
        padded, ratio = self._find.preprocess(bgr)
        found, *others = self._find.inference(padded)
        height, width = self._find.model_input_size
        cells = sum((height // stride) * (width // stride) for stride in _STRIDES)
        whole = found.ndim == 3 and len(found) == 1
        if not whole or found.shape[2] < 5 or (found.shape[2] > 5 and found.shape[1] != cells):
            raise WeightsError(
                f"{self.models.person}: expected boxes of shape (1, N, 5), or (1, N, 5 + classes) of a YOLOX "
                f"without its last step, N {cells} cells, got {found.shape}"
            )
        if found.shape[2] == 5:
            wanted = found[0, :, 4] >= self._min_box_score
            if others and others[0].shape == found.shape[:2]:
                wanted &= others[0][0] == 0  # the class: person is COCO's first
            order = np.argsort(-found[0, wanted, 4], kind="stable")
            boxes = found[0, wanted, :4][order] / ratio
        else:
            boxes = self._find.postprocess(found[..., :_PERSON_COLUMNS].copy(), ratio)
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        boxes = boxes[np.isfinite(boxes).all(1)]
        height, width = bgr.shape[:2]
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        inside: Array = boxes[((boxes[:, 2:] - boxes[:, :2]) > 1).all(1)]
        return inside


def fetch_both(
    models: DetectorModels, progress: Callable[[float, str], None] | None = None
) -> tuple[Path, Path]:
    """Return the files of both models.

    Raises:
        WeightsError: naming all that is missing, not the first alone.
    """
    found, missing = [], []
    for source in (models.person, models.pose):
        try:
            found.append(fetch_weights(source, progress=progress))
        except WeightsError as error:
            missing.append(str(error))
    if missing:
        raise WeightsError("; and ".join(missing))
    return found[0], found[1]


def _load(make: Callable[[], Any], path: Path) -> Any:
    """Return a model of rtmlib, which prints what it loads: that goes to the log."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            return make()
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise WeightsError(
            f"{path}: cannot be loaded as an ONNX model: {' '.join(str(error).split())[:200]}"
        ) from error
    finally:
        for line in said.getvalue().splitlines():
            logger.info("rtmlib: %s", line)


def _check_device(device: str) -> None:
    """onnxruntime falls back to the CPU by itself; a device that was asked for runs or is an error."""
    import onnxruntime

    needed = {
        "cuda": "CUDAExecutionProvider",
        "rocm": "ROCMExecutionProvider",
        "mps": "CoreMLExecutionProvider",
    }
    kind = device.partition(":")[0]
    if kind == "cpu":
        return
    if kind not in needed:
        raise ValueError(f"device must be cpu, {', '.join(needed)}, got {device!r}")
    there = onnxruntime.get_available_providers()
    if needed[kind] not in there:
        hint = " (pip install onnxruntime-gpu)" if kind == "cuda" else ""
        raise ValueError(f"device {device!r}: this onnxruntime has only {', '.join(there)}{hint}")


def _input_size(model: Any, given: tuple[int, int], path: Path) -> tuple[int, int]:
    """Height and width of the input: the file's, or where it leaves them open those given."""
    shape = model.session.get_inputs()[0].shape
    if len(shape) != 4 or (shape[1] not in (3, "3") and isinstance(shape[1], int)):
        raise WeightsError(f"{path}: expected an input of shape (N, 3, H, W), got {shape}")
    height, width = (n if isinstance(n, int) and n > 0 else g for n, g in zip(shape[2:], given, strict=True))
    return height, width


def _checked_pose(model: Any, path: Path) -> str:
    """Return the skeleton that a pose model finds."""
    outputs = [output.shape for output in model.session.get_outputs()]
    if len(outputs) != 2 or any(len(shape) != 3 for shape in outputs):
        hint = " (heat maps, as of ViTPose or HRNet?)" if len(outputs) == 1 and len(outputs[0]) == 4 else ""
        raise WeightsError(
            f"{path}: expected the two SimCC outputs of RTMPose, (N, J, 2 W) and (N, J, 2 H), got "
            f"{outputs}{hint}"
        )
    for shape, pixels in zip(outputs, model.model_input_size, strict=True):
        if isinstance(shape[2], int) and shape[2] != _BINS_PER_PIXEL * pixels:
            raise WeightsError(
                f"{path}: expected {_BINS_PER_PIXEL} bins for each of {pixels} pixels of the input, got "
                f"{shape[2]} bins: a model of another kind?"
            )
    joints = outputs[0][1]
    if not isinstance(joints, int):
        raise WeightsError(f"{path}: the number of keypoints is left open: {outputs}")
    try:
        return skeleton_of_count(joints, str(path))
    except SourceFormatError as error:
        raise WeightsError(str(error)) from None
