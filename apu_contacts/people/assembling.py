"""All that the files of one image say, person by person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.keypoints import Keypoints2D
from apu_contacts.keypoints.extent import keypoint_box
from apu_contacts.people.matching import (
    MAX_DISTANCE,
    MIN_IOU,
    Matching,
    find_duplicates,
    match_boxes,
    match_people,
)
from apu_contacts.people.merging import merge_keypoints
from apu_contacts.sources.bev import BevPerson
from apu_contacts.sources.detection import InitialEstimate, PersonDetection

MAX_BODY_DISTANCE = 0.2
"""Largest distance between a person's keypoints and a projected body: an estimated body fits the image less
well than a second detector does. On real photographs of crowds 0.02 to 0.08, up to 0.16 for people who are
mostly hidden; the bodies of other people are 0.14 and more away."""


_Indices = tuple[int | None, int | None]  # a person's positions in OpenPose's and ViTPose's files


@dataclass(frozen=True)
class Unmatched:
    """Somebody in one file who was not found in another, and why."""

    source: str
    index: int
    missing_in: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source} person {self.index} has no match in {self.missing_in}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Assembly(Sequence[PersonDetection]):
    """The people of one image: a sequence of `PersonDetection`, and what could not be matched.

    Args:
        people: those of the given boxes first, in the boxes' order, then the others.
        unmatched: everybody who is missing in some file. A body without keypoints is in no `PersonDetection`;
            it is only listed here.
        matchings: the assignments themselves, by name (``"openpose-vitpose"``, ``"keypoints-bev"``,
            ``"box-keypoints"``).
    """

    people: tuple[PersonDetection, ...]
    unmatched: tuple[Unmatched, ...]
    matchings: Mapping[str, Matching]

    def __len__(self) -> int:
        return len(self.people)

    def __iter__(self) -> Iterator[PersonDetection]:
        return iter(self.people)

    @overload
    def __getitem__(self, index: int) -> PersonDetection: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PersonDetection, ...]: ...
    def __getitem__(self, index: int | slice) -> PersonDetection | tuple[PersonDetection, ...]:
        return self.people[index]

    def of(self, source: str, index: int) -> PersonDetection:
        """Return the person who is number ``index`` of a source (``"box"``, ``"openpose"``, ``"vitpose"``,
        ``"bev"`` or another estimator).

        Raises:
            KeyError: if nobody is; the message says why, where that is known.
        """
        for person in self.people:
            if person.source.get(source) == index:
                return person
        why = "; ".join(str(u) for u in self.unmatched if (u.source, u.index) == (source, index))
        raise KeyError(why or f"there is no {source} person {index}")


def assemble_people(
    openpose: Sequence[Keypoints2D] | None = None,
    vitpose: Sequence[Keypoints2D] | None = None,
    bev: Sequence[BevPerson] | None = None,
    boxes: ArrayLike | None = None,
    *,
    estimates: Sequence[InitialEstimate] | None = None,
    camera: Camera | None = None,
    duplicates: Literal["note", "drop", "keep"] = "note",
    max_distance: float = MAX_DISTANCE,
    max_body_distance: float = MAX_BODY_DISTANCE,
    min_iou: float = MIN_IOU,
) -> Assembly:
    """Everybody who has keypoints in an image, with what each file says of them.

    Keypoints may come from any one or two detectors: ``vitpose`` takes those of whatever reader gives the
    better ones (MMPose, rtmlib, COCO results), ``openpose`` what fills their gaps. Hands and faces are kept.

    1. ViTPose's people are matched to OpenPose's; whoever only one of the two found is a person too.
    2. Their keypoints are merged (`merge_keypoints`).
    3. BEV's bodies, or other estimates, are matched to the merged keypoints, by their projected joints; one
       that has no joints to project (a file of parameters only) by its box.
    4. Given boxes (of an annotation, or a person detector) are matched to the keypoint boxes. An OpenPose
       person's box is that of OpenPose's keypoints, since FlickrCI3D's annotations are made of those.

    Args:
        openpose, vitpose, bev: what the readers return; None for a file that there is not.
        boxes: ``(B, 4)`` x0, y0, x1, y1 in pixels, or None.
        estimates: what a reader of another mesh estimator returns, instead of ``bev``. Their name in
            ``source`` is the first one's ``estimator``.
        camera: of the scene, in which estimates without a camera of their own are projected.
        duplicates: what happens to two records of one person (`find_duplicates`) after the merge. ``"note"``
            says it in the ``notes`` of both and leaves the choice to the caller; ``"drop"`` removes the one
            with less confidence, and lists it in ``unmatched``; ``"keep"`` does not look.
        max_distance: threshold of step 1, as a share of the person's size.
        max_body_distance: threshold of step 3.
        min_iou: threshold of step 4.

    Raises:
        ValueError: as `match_people` and `match_boxes`; if both ``bev`` and ``estimates`` are given.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, assemble_people, convert_keypoints
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> found = assemble_people([convert_keypoints(each, "body25") for each in (left, right)])
        >>> len(found.people), found.people[0].source
        (2, mappingproxy({'openpose': 0}))
    """
    if bev is not None and estimates is not None:
        raise ValueError("give bev or estimates, not both: a person starts from one estimate")
    if duplicates not in ("note", "drop", "keep"):
        raise ValueError(f"duplicates must be 'note', 'drop' or 'keep', got {duplicates!r}")
    first, second = list(openpose or ()), list(vitpose or ())
    bodies = list(estimates) if estimates is not None else [body.initial_estimate() for body in bev or ()]
    estimator = bodies[0].estimator if bodies else "bev"
    asked_for_bodies = bev is not None or estimates is not None
    given = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, dtype=np.float64)

    detectors = match_people(first, second, max_distance=max_distance)
    pairs: list[_Indices] = []
    for i in range(len(first)):
        match = detectors.of_a(i)
        pairs.append((i, match.index_b if match else None))
    pairs += [(None, j) for j in detectors.unmatched_b]
    merged = [merge_keypoints(_at(second, v), _at(first, o)) for o, v in pairs]
    boxed = [keypoints if o is None else first[o] for keypoints, (o, _) in zip(merged, pairs, strict=True)]
    by_body = _match_bodies(merged, bodies, camera, max_body_distance, min_iou)
    by_box = match_boxes(given, boxed, min_iou=min_iou)

    unmatched: list[Unmatched] = []
    people: list[PersonDetection] = []
    for k, pair in enumerate(pairs):
        around = keypoint_box(boxed[k], min_confidence=0)  # of all that was detected: nobody is lost
        if around is None:
            # A detector's empty record: nobody can be fitted to it.
            kind, index = ("openpose", pair[0]) if pair[0] is not None else ("vitpose", pair[1])
            unmatched.append(Unmatched(kind, index or 0, "image", "has no joint of confidence above 0"))
            continue
        source, margins = _sources(k, pair, detectors, by_body, by_box, estimator)
        asked = {
            "openpose": openpose is not None,
            "vitpose": vitpose is not None,
            estimator: asked_for_bodies,
        }
        reasons = {
            "openpose": detectors.unmatched_b,
            "vitpose": detectors.unmatched_a,
            estimator: by_body.unmatched_a,
        }
        named, number = next(iter(source.items()))
        missing = [
            Unmatched(named, number, kind, reasons[kind][k if kind == estimator else number])
            for kind, wanted in asked.items()
            if wanted and kind not in source
        ]
        unmatched += missing
        people.append(
            PersonDetection(
                keypoints=merged[k],
                bbox=given[source["box"]] if "box" in source else around,
                initial=bodies[source[estimator]] if estimator in source else None,
                source=source,
                margins=margins,
                notes=tuple(str(reason) for reason in missing),
            )
        )
    unmatched += [
        Unmatched(estimator, j, "keypoints", "; ".join(bodies[j].notes) if bodies[j].is_absent else why)
        for j, why in by_body.unmatched_b.items()
    ]
    unmatched += [Unmatched("box", j, "keypoints", why) for j, why in by_box.unmatched_a.items()]
    if duplicates != "keep":
        people, lost = _without_duplicates(people, drop=duplicates == "drop")
        unmatched += lost
    # Boxes are what annotations and answers count people by, so their order leads.
    people.sort(key=lambda person: person.source.get("box", len(given)))
    matchings = {"openpose-vitpose": detectors, f"keypoints-{estimator}": by_body, "box-keypoints": by_box}
    return Assembly(tuple(people), tuple(unmatched), MappingProxyType(matchings))


def _match_bodies(
    people: Sequence[Keypoints2D],
    bodies: Sequence[InitialEstimate],
    camera: Camera | None,
    max_distance: float,
    min_iou: float,
) -> Matching:
    """People to bodies: by projected joints, or by boxes if no body has joints to project."""
    projected = [body.projected or body.keypoints(camera) for body in bodies]
    present = [body for body in bodies if not body.is_absent]
    if any(projected) or not bodies or any(body.bbox is None for body in present):
        nowhere = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
        return match_people(people, [p or nowhere for p in projected], max_distance=max_distance)
    boxes = np.array([np.zeros(4) if body.bbox is None else body.bbox for body in bodies])
    return match_boxes(boxes, people, min_iou=min_iou).transposed()


def _without_duplicates(
    people: list[PersonDetection], *, drop: bool
) -> tuple[list[PersonDetection], list[Unmatched]]:
    """Return the people with notes on who may be whom, or without the weaker record of each."""
    notes: dict[int, list[str]] = {}
    lost: list[Unmatched] = []
    gone: set[int] = set()
    for kept, other, distance in find_duplicates([person.keypoints for person in people]):
        why = f"their keypoints agree to {distance:.2f} of the person's size: detected twice?"
        names = [", ".join(f"{kind} {i}" for kind, i in people[k].source.items()) for k in (kept, other)]
        kind, index = next(iter(people[other].source.items()))
        if drop:
            gone.add(other)
            lost.append(Unmatched(kind, index, "image", f"is {names[0]} again; {why}"))
        else:
            notes.setdefault(kept, []).append(f"may be {names[1]} too; {why}")
            notes.setdefault(other, []).append(f"may be {names[0]} too; {why}")
    noted = [
        replace(person, notes=(*person.notes, *notes[k])) if k in notes else person
        for k, person in enumerate(people)
        if k not in gone
    ]
    return noted, lost


def _sources(
    k: int, pair: _Indices, detectors: Matching, by_body: Matching, by_box: Matching, estimator: str
) -> tuple[dict[str, int], dict[str, float]]:
    """Person ``k``'s position in each file that has them, and how clear each match was."""
    source = {
        kind: index for kind, index in zip(("openpose", "vitpose"), pair, strict=True) if index is not None
    }
    margins: dict[str, float] = {}
    both = detectors.of_a(pair[0]) if pair[0] is not None else None
    body, box = by_body.of_a(k), by_box.of_b(k)
    if both is not None:
        margins["vitpose"] = both.margin
    if body is not None:
        source[estimator], margins[estimator] = body.index_b, body.margin
    if box is not None:
        source["box"], margins["box"] = box.index_a, box.margin
    return source, margins


def _at(people: Sequence[Keypoints2D], index: int | None) -> Keypoints2D | None:
    return None if index is None else people[index]
