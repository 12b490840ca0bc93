"""Keypoints of top-down detectors: MMPose's and ViTPose's files, COCO's results, rtmlib's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.keypoints import SKELETONS, Keypoints2D, skeleton
from apu_contacts.sources._json import CLIP_ABOVE, CLIP_BELOW, kind, read_json
from apu_contacts.sources._records import Array, Source, as_array, load_content
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError

BY_COUNT = {len(SKELETONS[name]): name for name in ("coco17", "coco_wholebody133", "body25", "halpe26")}
_OTHERS = {
    136: "Halpe-136: run the detector with a COCO-WholeBody or Halpe-26 model",
    18: "OpenPose's COCO body model",
    14: "LSP or CrowdPose",
    16: "MPII",
}
_WHOLEBODY = (
    ("keypoints", 17),
    ("foot_kpts", 6),
    ("face_kpts", 68),
    ("lefthand_kpts", 21),
    ("righthand_kpts", 21),
)


def keypoints_from_arrays(
    keypoints: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    order: str | None = None,
    score_scale: float = 1.0,
    where: str = "keypoints",
) -> list[Keypoints2D]:
    """People from arrays as rtmlib returns them, ``keypoints, scores = Wholebody(...)(image)``.

    Args:
        keypoints: ``(N, J, 2)`` pixels, or ``(N, J, 3)`` with the score third.
        scores: ``(N, J)``; not needed where the third column is there.
        order: name of the skeleton; where it is not given, what J says: 17 (COCO), 26 (Halpe), 25 (BODY_25)
            or 133 (COCO-WholeBody).
        score_scale: what scores are divided by. Detectors of the SimCC kind (RTMPose) may give scores of
            several units; then say which score means certain.
        where: for messages.

    Raises:
        SourceFormatError: on other shapes, an unknown number of joints, or scores of another scale.
        ValueError: on an unknown ``order``.
    """
    xy = as_array(keypoints, where)
    if xy.size == 0:
        return []
    if xy.ndim != 3 or xy.shape[2] not in (2, 3):
        raise SourceFormatError(f"{where}: expected shape (people, joints, 2 or 3), got {xy.shape}")
    if scores is None:
        if xy.shape[2] == 2:
            raise SourceFormatError(f"{where}: scores are missing: give them, or keypoints of 3 columns")
        confidence = xy[..., 2]
    else:
        confidence = as_array(scores, f"{where}: scores")
        if confidence.shape == (*xy.shape[:2], 1):
            confidence = confidence[..., 0]
        if confidence.shape != xy.shape[:2]:
            raise SourceFormatError(
                f"{where}: scores must have shape {xy.shape[:2]}, as the keypoints, got {confidence.shape}"
            )
    name = skeleton_of_count(xy.shape[1], where, order)
    if not score_scale > 0:
        raise ValueError(f"score_scale must be positive, got {score_scale}")
    confidence = _confidence(confidence / score_scale, where)
    visible = np.where(confidence[..., None] > 0, xy[..., :2], 0.0)
    return [Keypoints2D(name, person, c) for person, c in zip(visible, confidence, strict=True)]


def skeleton_of_count(joints: int, where: str, order: str | None = None) -> str:
    """The skeleton of a number of joints, or ``order`` if it has as many.

    Raises:
        SourceFormatError: if there is none.
        ValueError: on an unknown ``order``.
    """
    if order is not None:
        if len(skeleton(order)) != joints:
            raise SourceFormatError(f"{where}: {order!r} has {len(skeleton(order))} joints, got {joints}")
        return order
    if joints not in BY_COUNT:
        hint = f" ({_OTHERS[joints]})" if joints in _OTHERS else ""
        known = ", ".join(f"{n} ({s})" for n, s in BY_COUNT.items())
        raise SourceFormatError(f"{where}: {joints} joints are none of {known}{hint}")
    return BY_COUNT[joints]


def _confidence(scores: Array, where: str) -> Array:
    lowest, highest = float(scores.min(initial=0)), float(scores.max(initial=0))
    if lowest < CLIP_BELOW or highest > CLIP_ABOVE:
        hint = "SimCC scores of RTMPose (give score_scale), logits, or percentages?"
        if highest == 2 and set(np.unique(scores)) <= {0.0, 1.0, 2.0}:
            hint = "visibilities 0, 1, 2 of an annotation file, not a detector's results?"
        raise SourceFormatError(
            f"{where}: confidences must lie in [0, 1], got {lowest:g} to {highest:g}: {hint}"
        )
    clipped: Array = scores.clip(0, 1)
    return clipped


def read_keypoint_arrays(
    path: str | Path, *, order: str | None = None, score_scale: float = 1.0, allow_empty: bool = False
) -> list[Keypoints2D]:
    """People of an ``.npz`` with ``keypoints`` and ``scores`` (rtmlib's two arrays under these names), or of
    an ``.npy`` of shape (N, J, 3).

    Args: ``order``, ``score_scale`` as `keypoints_from_arrays`; ``allow_empty`` returns an empty list for
        nobody instead of raising.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: as `keypoints_from_arrays`.
        NoPeopleError: if it holds nobody.
    """
    content, where = load_content(path)
    if isinstance(content, Mapping):
        if "keypoints" not in content:
            found = ", ".join(sorted(map(str, content)))
            raise SourceFormatError(f"{where}: expected an array 'keypoints' (and 'scores'), found {found}")
        key = next((key for key in ("scores", "keypoint_scores") if key in content), None)
        xy, scores = content["keypoints"], None if key is None else content[key]
    else:
        xy, scores = content, None
    people = keypoints_from_arrays(xy, scores, order=order, score_scale=score_scale, where=where)
    if not people and not allow_empty:
        raise NoPeopleError(f"{where}: nobody was detected in this image")
    return people


def read_mmpose(
    source: Source,
    frame: int = 0,
    *,
    order: str | None = None,
    score_scale: float = 1.0,
    allow_empty: bool = False,
) -> list[Keypoints2D]:
    """The people of an image in MMPose's predictions, as its inferencer, its demos and ViTPose write them.

    - MMPose 1.x, ``MMPoseInferencer(...)(image, pred_out_dir=...)``: a list of ``{keypoints: [[x, y], ...],
      keypoint_scores: [...], bbox, bbox_score}``;
    - its demos with ``--save-predictions``: ``{meta_info, instance_info: [...]}``, the instances themselves
      or frames ``{frame_id, instances}``;
    - MMPose 0.x and ViTPose: a list of ``{keypoints: (J, 3), bbox}``, in JSON or a pickle of arrays.

    Args:
        source: the file, or what it holds.
        frame: position of the image where there are several (a video).
        order, score_scale: as `keypoints_from_arrays`.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError: as `read_numpy_pickle`.
        SourceFormatError: on another layout, number of joints or scale; the person is named.
        NoPeopleError: if it holds nobody.
    """
    content, where = load_content(source)
    instances = _instances(content, frame, where)
    people = []
    for i, instance in enumerate(instances):
        place = f"{where}: person {i}"
        if not isinstance(instance, Mapping) or "keypoints" not in instance:
            raise SourceFormatError(f"{place}: expected an object with 'keypoints', got {kind(instance)}")
        xy = as_array(instance["keypoints"], f"{place}: keypoints")
        scores = instance.get("keypoint_scores")
        if scores is not None:
            scores = as_array(scores, f"{place}: keypoint_scores").reshape(1, -1)
        if xy.ndim == 2:
            xy = xy[None]
        people += keypoints_from_arrays(xy, scores, order=order, score_scale=score_scale, where=place)
    if not people and not allow_empty:
        raise NoPeopleError(f"{where}: nobody was detected in this image")
    return people


def _instances(content: Any, frame: int, where: str) -> Sequence[Any]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in ("instance_info", "predictions") if key in content), None)
        if inner is None:
            if "keypoints" in content:
                return [content]
            found = ", ".join(sorted(map(str, content))) or "nothing"
            raise SourceFormatError(
                f"{where}: expected a list of people, or 'instance_info' or 'predictions', found {found}"
            )
        content = inner
    if not isinstance(content, Sequence) or isinstance(content, str):
        raise SourceFormatError(f"{where}: expected a list of people, got {kind(content)}")
    nested = [
        row.get("instances") if isinstance(row, Mapping) else row
        for row in content
        if isinstance(row, list) or (isinstance(row, Mapping) and "instances" in row)
    ]
    if not nested:
        return content
    if not 0 <= frame < len(nested):
        raise SourceFormatError(f"{where}: frame {frame} is none of the {len(nested)} frames")
    chosen = nested[frame]
    if not isinstance(chosen, list):
        raise SourceFormatError(f"{where}: frame {frame}: expected a list of people, got {kind(chosen)}")
    return chosen


def read_coco_results(
    path: str | Path, *, min_score: float = 0.0, score_scale: float = 1.0
) -> dict[str, list[Keypoints2D]]:
    """The people of each image of a COCO results file, by its ``image_id`` as text, in the file's order.

    The layout is a list of ``{image_id, category_id, keypoints: x, y, score, ..., score}`` of 17, 26 or 133
    joints; COCO-WholeBody's, with ``foot_kpts``, ``face_kpts``, ``lefthand_kpts`` and ``righthand_kpts``
    apart, is read too, and AlphaPose's, whose ``image_id`` is the file's name.

    Args:
        path: the file.
        min_score: records whose own ``score`` is lower are left out.
        score_scale: as `keypoints_from_arrays`.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: on another layout; the record is named.
    """
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        raise SourceFormatError(
            f"{path}: this is COCO's annotation layout, whose third number is a visibility; expected a "
            "detector's results, a list of {image_id, keypoints, score}"
        )
    if not isinstance(content, list):
        raise SourceFormatError(f"{path}: expected a list of records, got {kind(content)}")
    images: dict[str, list[Keypoints2D]] = {}
    for i, record in enumerate(content):
        where = f"{path}: record {i}"
        if not isinstance(record, dict) or "image_id" not in record or "keypoints" not in record:
            raise SourceFormatError(f"{where}: expected an object with image_id and keypoints")
        people = images.setdefault(str(record["image_id"]), [])
        if float(record.get("score", 1.0)) < min_score:
            continue
        flat = _block(record["keypoints"], where)
        if len(flat) == 17 and any(key in record for key, _ in _WHOLEBODY[1:]):
            blocks = [
                _block(record.get(key) or [0.0] * (3 * n), f"{where}: {key}", n) for key, n in _WHOLEBODY
            ]
            flat = np.concatenate(blocks)
        people += keypoints_from_arrays(flat[None], score_scale=score_scale, where=where)
    return images


def _block(value: Any, where: str, joints: int | None = None) -> Array:
    flat = as_array(value, where).ravel()
    if flat.size % 3 or (joints is not None and flat.size != 3 * joints):
        wanted = "a multiple of 3" if joints is None else f"{3 * joints}"
        raise SourceFormatError(f"{where}: expected {wanted} numbers x, y, score, got {flat.size}")
    return flat.reshape(-1, 3)
