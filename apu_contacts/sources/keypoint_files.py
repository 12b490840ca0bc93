"""Keypoints of top-down detectors: MMPose's and ViTPose's files, COCO's results, rtmlib's arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.keypoints import skeleton as skeleton_named
from apu_contacts.sources._json import kind, read_json
from apu_contacts.sources._records import Array, Source, as_array, load_content
from apu_contacts.sources.checks import ConventionError, check_pixels
from apu_contacts.sources.confidence import MAX_OVERSHOOT, confidences
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError, SourceWarning
from apu_contacts.sources.keypoint_records import each_person
from apu_contacts.sources.names import MHR70_JOINTS

_COUNTED = ("coco17", "coco_wholebody133", "body25", "halpe26", "mediapipe33")
BY_COUNT = {len(SKELETONS[name]): name for name in _COUNTED}
_OTHERS = {
    77: "SOMA's or NVIDIA's ViTPose, whose order is not known here",
    136: "Halpe-136: run the detector with a COCO-WholeBody or Halpe-26 model",
    18: "OpenPose's COCO body model",
    14: "LSP or CrowdPose",
    16: "MPII",
}
_SAPIENS = (70, 308)
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
    skeleton: str | None = None,
    score_scale: float = 1.0,
    where: str = "keypoints",
) -> list[Keypoints2D]:
    """People from arrays as rtmlib returns them, ``keypoints, scores = Wholebody(...)(image)``.

    Args:
        keypoints: ``(N, J, 2)`` pixels, or ``(N, J, 3)`` with the score third.
        scores: ``(N, J)``; not needed where the third column is there.
        skeleton: its name; where it is not given, what J says: 17 (COCO), 26 (Halpe), 25 (BODY_25)
            or 133 (COCO-WholeBody). The 308 points of Sapiens, and SAM 3D Body's 70, which are its first,
            become COCO-WholeBody's, in which the face then is missing.
        score_scale: what scores are divided by. Detectors of the SimCC kind (RTMPose) may give scores of
            several units; then say which score means certain.
        where: for messages.

    Raises:
        SourceFormatError: on other shapes, an unknown number of joints, or scores of another scale.
        ConventionError: on three columns beside scores, or coordinates that are no pixels.
        ValueError: on an unknown ``skeleton``, or a ``score_scale`` that is not positive.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import keypoints_from_arrays
        >>> people = keypoints_from_arrays(np.zeros((2, 17, 2)), np.ones((2, 17)))
        >>> len(people), people[0].skeleton
        (2, 'coco17')
    """
    xy = as_array(keypoints, where, finite=False)
    if xy.size == 0:
        return []
    if xy.ndim == 3 and xy.shape[1] in _SAPIENS and skeleton is None:
        xy = _wholebody(xy)
        if scores is not None:
            flat = as_array(scores, f"{where}: scores", finite=False)
            scores = _wholebody(flat.reshape(*flat.shape[:2], 1))[..., 0] if flat.ndim > 1 else flat
    if xy.ndim != 3 or xy.shape[2] not in (2, 3):
        raise SourceFormatError(f"{where}: expected shape (people, joints, 2 or 3), got {xy.shape}")
    if scores is None:
        if xy.shape[2] == 2:
            raise SourceFormatError(f"{where}: scores are missing: give them, or keypoints of 3 columns")
        confidence = xy[..., 2]
    else:
        confidence = as_array(scores, f"{where}: scores", finite=False)
        if confidence.shape == (*xy.shape[:2], 1):
            confidence = confidence[..., 0]
        if confidence.shape != xy.shape[:2]:
            raise SourceFormatError(
                f"{where}: scores must have shape {xy.shape[:2]}, as the keypoints, got {confidence.shape}"
            )
        if xy.shape[2] == 3 and not np.allclose(xy[..., 2], confidence, equal_nan=True):
            raise ConventionError(
                f"{where}: keypoints have three columns beside scores: 3D joints of a lifter, whose order "
                "(Human3.6M's 17) and metres are not those of a 2D detector?"
            )
    name = skeleton_of_count(xy.shape[1], where, skeleton)
    confidence = confidences(confidence, where, score_scale=score_scale)
    # a joint that lies nowhere was not seen, whatever its score
    confidence = np.where(np.isfinite(xy[..., :2]).all(axis=-1), confidence, 0.0)
    visible = np.where(confidence[..., None] > 0, xy[..., :2], 0.0)
    for i, (person, c) in enumerate(zip(visible, confidence, strict=True)):
        check_pixels(person, c > 0, f"{where}: person {i}" if len(visible) > 1 else where)
    return [Keypoints2D(name, person, c) for person, c in zip(visible, confidence, strict=True)]


def _wholebody(points: Array) -> Array:
    """``(N, 133, C)`` COCO-WholeBody of the points ``(N, 308 or 70, C)`` of Sapiens or SAM 3D Body; zeros
    where it has none of that name.
    """
    names = SKELETONS["coco_wholebody133"].joint_names
    found = np.zeros((len(points), len(names), points.shape[2]))
    for k, name in enumerate(MHR70_JOINTS):
        if name in names:
            found[:, names.index(name)] = points[:, k]
    return found


def skeleton_of_count(joints: int, where: str, skeleton: str | None = None) -> str:
    """Return the skeleton of a number of joints, or ``skeleton`` if it has as many.

    Raises:
        SourceFormatError: if there is none.
        ValueError: on an unknown ``skeleton``.
    """
    if skeleton is not None:
        if len(skeleton_named(skeleton)) != joints:
            raise SourceFormatError(
                f"{where}: {skeleton!r} has {len(skeleton_named(skeleton))} joints, got {joints}"
            )
        return skeleton
    if joints not in BY_COUNT:
        hint = f" ({_OTHERS[joints]})" if joints in _OTHERS else ""
        known = ", ".join(f"{n} ({s})" for n, s in BY_COUNT.items())
        raise SourceFormatError(f"{where}: {joints} joints are none of {known}{hint}")
    return BY_COUNT[joints]


def read_keypoint_arrays(
    path: str | Path, *, skeleton: str | None = None, score_scale: float = 1.0, allow_empty: bool = False
) -> list[Keypoints2D]:
    """People of an ``.npz`` with ``keypoints`` and ``scores`` (rtmlib's two arrays under these names), or of
    an ``.npy`` of shape (N, J, 3).

    Args: ``skeleton``, ``score_scale`` as `keypoints_from_arrays`; ``allow_empty`` returns an empty list for
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
    people = keypoints_from_arrays(xy, scores, skeleton=skeleton, score_scale=score_scale, where=where)
    if not people and not allow_empty:
        raise NoPeopleError(f"{where}: nobody was detected in this image")
    return people


def read_mmpose(
    source: Source,
    frame: int = 0,
    *,
    skeleton: str | None = None,
    score_scale: float = 1.0,
    allow_empty: bool = False,
) -> list[Keypoints2D]:
    """Return the people of an image in MMPose's predictions, as its inferencer, its demos and ViTPose write
    them.

    - MMPose 1.x, ``MMPoseInferencer(...)(image, pred_out_dir=...)``: a list of ``{keypoints: [[x, y], ...],
      keypoint_scores: [...], bbox, bbox_score}``;
    - its demos with ``--save-predictions``: ``{meta_info, instance_info: [...]}``, the instances themselves
      or frames ``{frame_id, instances}``;
    - MMPose 0.x and ViTPose: a list of ``{keypoints: (J, 3), bbox}``, in JSON or a pickle of arrays;
    - transformers' ViTPose: ``{keypoints, scores, labels, bbox}`` a person, in a list of images;
    - ultralytics' ``to_json``: ``{name, box, keypoints: {x, y, visible}}`` a person.

    Args:
        source: the file, or what it holds.
        frame: position of the image where there are several (a video).
        skeleton, score_scale: as `keypoints_from_arrays`.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError: as `read_numpy_pickle`.
        SourceFormatError: on another layout, number of joints or scale; the person is named.
        ConventionError: on three columns beside scores, or coordinates that are no pixels.
        NoPeopleError: if it holds nobody.

    Warns:
        SourceWarning: for each person whose record is damaged while others' are not; such a person has
            no joints.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_mmpose
        >>> instance = {"keypoints": np.full((17, 2), 100.0).tolist(), "keypoint_scores": [0.9] * 17}
        >>> (person,) = read_mmpose([{"instances": [instance]}])  # or the path of what it wrote
        >>> person.skeleton, float(person.confidence[0])
        ('coco17', 0.9)
    """
    content, where = load_content(source)
    instances = _instances(content, frame, where)

    def read(i: int) -> Keypoints2D:
        return _instance(instances[i], f"{where}: person {i}", skeleton, score_scale)

    people = each_person(len(instances), read, _skeleton_of(instances, skeleton), where)
    if not people and not allow_empty:
        raise NoPeopleError(f"{where}: nobody was detected in this image")
    return people


def _instance(instance: Any, place: str, skeleton: str | None, score_scale: float) -> Keypoints2D:
    """One person of MMPose's, transformers' or ultralytics' records."""
    if not isinstance(instance, Mapping) or instance.get("keypoints") is None:
        raise SourceFormatError(f"{place}: expected an object with 'keypoints', got {kind(instance)}")
    points = instance["keypoints"]
    scores: Array | None
    if isinstance(points, Mapping):
        # ultralytics' to_json: {x: [...], y: [...], visible: [...]}
        columns = [as_array(points.get(key), f"{place}: keypoints.{key}", finite=False) for key in ("x", "y")]
        seen = as_array(points.get("visible"), f"{place}: keypoints.visible", finite=False)
        if any(column.ndim != 1 or column.shape != seen.shape for column in columns):
            raise SourceFormatError(f"{place}: keypoints x, y and visible must be lists of one length")
        xy, scores = np.stack(columns, -1), seen
    else:
        xy = as_array(points, f"{place}: keypoints", finite=False)
        key = next((k for k in ("keypoint_scores", "scores") if instance.get(k) is not None), None)
        scores = None if key is None else as_array(instance[key], f"{place}: {key}", finite=False)
    if xy.ndim == 3 and len(xy) == 1:
        xy = xy[0]
    if xy.size == 0:
        name = skeleton or "coco17"
        return Keypoints2D(
            name, np.zeros((len(skeleton_named(name)), 2)), np.zeros(len(skeleton_named(name)))
        )
    if xy.ndim != 2:
        raise SourceFormatError(f"{place}: keypoints must have shape (joints, 2 or 3), got {xy.shape}")
    if scores is not None:
        scores = scores.reshape(-1)
        if instance.get("labels") is not None and skeleton is None:
            xy, scores = _by_label(xy, scores, instance["labels"], place)
        scores = scores[None]
    (person,) = keypoints_from_arrays(
        xy[None], scores, skeleton=skeleton, score_scale=score_scale, where=place
    )
    return person


def _by_label(xy: Array, scores: Array, labels: Any, place: str) -> tuple[Array, Array]:
    """Return people whose missing joints are zeros: transformers' ViTPose leaves joints out below its
    threshold, and gives COCO's numbers of the others.
    """
    ids = as_array(labels, f"{place}: labels").ravel()
    if len(ids) != len(xy) or len(scores) != len(xy) or len(ids) > 17 or (ids != ids.round()).any():
        return xy, scores
    if ids.min(initial=0) < 0 or ids.max(initial=0) > 16 or len(np.unique(ids)) != len(ids):
        return xy, scores
    points, found = np.zeros((17, 2)), np.zeros(17)
    points[ids.astype(int)], found[ids.astype(int)] = xy[:, :2], scores
    return points, found


def _skeleton_of(instances: Sequence[Any], skeleton: str | None) -> str:
    """Return the skeleton of the first record whose number of joints says it."""
    if skeleton is not None:
        return skeleton
    for instance in instances[:100]:
        points = instance.get("keypoints") if isinstance(instance, Mapping) else None
        size = 0 if points is None or not hasattr(points, "__len__") else len(points)
        if size in BY_COUNT:
            return BY_COUNT[size]
    return "coco17"


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
    """Return the people of each image of a COCO results file, by its ``image_id`` as text, in the file's
    order.

    The layout is a list of ``{image_id, category_id, keypoints: x, y, score, ..., score}`` of 17, 26 or 133
    joints; COCO-WholeBody's, with ``foot_kpts``, ``face_kpts``, ``lefthand_kpts`` and ``righthand_kpts``
    apart, is read too, and AlphaPose's, whose ``image_id`` is the file's name. Where all third numbers of the
    file are 0, 1 or 2, as in COCO's own example of results, they are visibilities: 0 is a missing joint, the
    others are certain. Parts of COCO-WholeBody's that overshoot (its feet, up to 2.1) are cut to 1.

    Args:
        path: the file.
        min_score: records whose own ``score`` is lower are left out.
        score_scale: as `keypoints_from_arrays`.

    Warns:
        SourceWarning: for each record that is damaged; it is left out.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: on another layout, or if all records are damaged; the record is named.
        ConventionError: if the coordinates are no pixels.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from apu_contacts import read_coco_results
        >>> found = {"image_id": 7, "category_id": 1, "keypoints": [100.0, 50.0, 0.9] * 17, "score": 0.8}
        >>> path = Path(tempfile.mkdtemp()) / "results.json"
        >>> _ = path.write_text(json.dumps([found, found]))
        >>> {image: len(people) for image, people in read_coco_results(path).items()}
        {'7': 2}
    """
    content = read_json(path)
    visibilities = _are_visibilities(content)
    if isinstance(content, dict) and "annotations" in content:
        raise SourceFormatError(
            f"{path}: this is COCO's annotation layout, whose third number is a visibility; expected a "
            "detector's results, a list of {image_id, keypoints, score}"
        )
    if not isinstance(content, list):
        raise SourceFormatError(f"{path}: expected a list of records, got {kind(content)}")
    records: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for i, record in enumerate(content):
        where = f"{path}: record {i}"
        if not isinstance(record, dict) or "image_id" not in record or "keypoints" not in record:
            raise SourceFormatError(f"{where}: expected an object with image_id and keypoints")
        records.setdefault(str(record["image_id"]), []).append((where, record))
    images: dict[str, list[Keypoints2D]] = {}
    errors: list[SourceFormatError] = []
    for name, entries in records.items():
        images[name] = []
        for where, record in entries:
            try:
                score = record.get("score")
                if score is not None and float(as_array(score, f"{where}: score").reshape(())) < min_score:
                    continue
                images[name] += _coco_person(record, where, score_scale, visibilities)
            except ConventionError:
                raise
            except (SourceFormatError, ValueError) as error:
                errors.append(
                    error if isinstance(error, SourceFormatError) else SourceFormatError(f"{where}: {error}")
                )
    if errors and not any(person.valid.any() for people in images.values() for person in people):
        raise errors[0]
    for said in errors:
        warnings.warn(f"left out: {said}", SourceWarning, stacklevel=2)
    return images


def _coco_person(
    record: Mapping[str, Any], where: str, score_scale: float, visibilities: bool
) -> list[Keypoints2D]:
    flat = _block(record["keypoints"], where)
    if len(flat) == 17 and any(key in record for key, _ in _WHOLEBODY[1:]):
        # each block comes from a head of its own, with a scale of its own
        flat = np.concatenate(
            [
                _scaled(_block(record.get(key) or [0.0] * (3 * n), f"{where}: {key}", n), key, score_scale)
                for key, n in _WHOLEBODY
            ]
        )
        score_scale = 1.0
    if visibilities:
        flat[:, 2] = flat[:, 2] > 0
        score_scale = 1.0
    return keypoints_from_arrays(flat[None], score_scale=score_scale, where=where)


def _scaled(block: Array, key: str, score_scale: float) -> Array:
    """Return a block of COCO-WholeBody's; beside the body, scores up to `MAX_OVERSHOOT` are cut to 1."""
    scores = block[:, 2] / score_scale
    top = np.nanmax(scores, initial=0.0)
    block[:, 2] = np.where(scores > 1, 1.0, scores) if key != "keypoints" and top <= MAX_OVERSHOOT else scores
    return block


def _are_visibilities(content: Any) -> bool:
    """Whether the third numbers of all records are COCO's 0, 1, 2, as in its own example of results."""
    if not isinstance(content, list):
        return False
    highest = 0.0
    for record in content:
        flat = record.get("keypoints") if isinstance(record, dict) else None
        if not isinstance(flat, list):
            return False
        for value in flat[2::3]:
            if value not in (0, 1, 2):
                return False
            highest = max(highest, value)
    return highest == 2


def _block(value: Any, where: str, joints: int | None = None) -> Array:
    flat = as_array(value, where, finite=False).ravel().copy()
    if flat.size % 3 or (joints is not None and flat.size != 3 * joints):
        wanted = "a multiple of 3" if joints is None else f"{3 * joints}"
        raise SourceFormatError(f"{where}: expected {wanted} numbers x, y, score, got {flat.size}")
    return flat.reshape(-1, 3)
