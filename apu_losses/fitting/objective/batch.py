"""Many scenes as one graph: people are rows, contacts are edges between rows, scenes are groups of rows.

Two people, five people, self-contact and many images at once are then the same code. Nothing is padded:
what is ragged (people a scene, pairs an edge) is kept as flat lists with the index of their owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap, Order
from apu_contacts.keypoints import SKELETONS, convert_keypoints, is_seen, person_size
from apu_contacts.keypoints.skeletons import NUM_HAND
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.bodies.protocol import BodyModel
from apu_losses.camera import PinholeCamera
from apu_losses.fitting.body_parameters import HAND_POSES
from apu_losses.fitting.scene.types import Scene
from apu_losses.functional.contact_edges import ContactEdges, Over
from apu_losses.functional.reprojection import fill_missing_ankles, keypoint_scale

SKELETON = "body25"
HANDS = "hands"

_WRIST_AGREES = 0.15
"""A hand whose root lies farther from the person's wrist than this share of their size is somebody else's."""
_FEW = 4
"""A hand of fewer keypoints than this says nothing about its fingers."""


@dataclass(frozen=True)
class SceneBatch:
    """S scenes with N people and E contacts as tensors.

    Attributes:
        scenes: the scenes themselves.
        row_scene: ``(N,)`` the scene of each person, rising.
        camera: one pinhole camera a person.
        keypoints: ``(N, 25, 2)`` detected keypoints, pixels, BODY_25 order.
        confidence: ``(N, 25)``; 0 where a keypoint is missing.
        target_keypoints, target_confidence: what the fit is drawn to: the detected keypoints, with missing
            ankles filled from the start (see `with_filled_ankles`).
        scale: ``(N,)`` makes a person's keypoint box 512 pixels long; 0 for people without keypoints. The box
            is that of the body, with or without hands.
        hand_keypoints: ``(N, 42, 2)`` detected keypoints of the left and the right hand, pixels.
        hand_confidence: ``(N, 42)``; 0 where a keypoint, or the whole hand, is missing.
        sees_hand: ``(N, 2)`` bool, whether there are enough keypoints of the left and of the right hand to
            tell its pose.
        any_hand: whether anybody's hand is seen; where none is, hands cost nothing.
        contact_maps, edge_rows_a, edge_rows_b, edge_order: the contact graph, one entry an edge.
        edge_scene: ``(E,)`` the scene of each edge.
        pair_a, pair_b, pair_scene: ``(Q,)`` every two different people of the same scene and frame.
    """

    scenes: tuple[Scene, ...]
    row_scene: Tensor
    camera: PinholeCamera
    keypoints: Tensor
    confidence: Tensor
    target_keypoints: Tensor
    target_confidence: Tensor
    scale: Tensor
    hand_keypoints: Tensor
    hand_confidence: Tensor
    sees_hand: Tensor
    any_hand: bool
    contact_maps: tuple[ContactMap, ...]
    edge_rows_a: tuple[int, ...]
    edge_rows_b: tuple[int, ...]
    edge_order: tuple[Order, ...]
    edge_scene: Tensor
    pair_a: Tensor
    pair_b: Tensor
    pair_scene: Tensor
    _edges: dict[tuple[str, bool], ContactEdges] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of scenes."""
        return len(self.scenes)

    @property
    def rows(self) -> int:
        """Number of people in all scenes."""
        return len(self.row_scene)

    def contact_edges(self, over: Over = "parts", *, one_search_a_pair: bool = False) -> ContactEdges:
        """Return the contact graph as the losses take it; laid out once for each choice of options."""
        key = (over, one_search_a_pair)
        if key not in self._edges:
            self._edges[key] = ContactEdges.from_maps(
                self.contact_maps,
                self.edge_rows_a,
                self.edge_rows_b,
                over=over,
                order=self.edge_order,
                one_search_a_pair=one_search_a_pair,
                dtype=self.keypoints.dtype,
                device=self.keypoints.device,
            )
        return self._edges[key]

    def per_scene(self, values: Tensor, owner: Tensor | None = None) -> Tensor:
        """Sum values over their scenes.

        Args:
            values: ``(N,)`` one value a person, or ``(K,)`` with ``owner``.
            owner: ``(K,)`` scene of each value; the scene of each person where it is not given.

        Returns:
            ``(S,)``; 0 for a scene that owns nothing.
        """
        owner = self.row_scene if owner is None else owner
        return values.new_zeros(self.size).index_add(0, owner, values)

    def sees(self, parameter: str) -> Tensor:
        """``(N,)`` bool: people whose keypoints tell of ``left_hand_pose`` or ``right_hand_pose``."""
        return self.sees_hand[:, HAND_POSES.index(parameter)]

    def rows_of(self, scenes: Tensor) -> Tensor:
        """Rows of the people of these scenes (indices, rising), rising."""
        return torch.nonzero(torch.isin(self.row_scene, scenes))[:, 0]

    def subset(self, scenes: Tensor) -> SceneBatch:
        """Return the batch of only these scenes, ``(A,)`` indices, rising."""
        rows = self.rows_of(scenes)
        new_row = torch.full_like(self.row_scene, -1)
        new_row[rows] = torch.arange(len(rows), device=rows.device)
        new_scene = torch.full((self.size,), -1, dtype=torch.int64, device=rows.device)
        new_scene[scenes] = torch.arange(len(scenes), device=rows.device)
        pairs = torch.nonzero(new_scene[self.pair_scene] >= 0)[:, 0]
        edges = torch.nonzero(new_scene[self.edge_scene] >= 0)[:, 0]
        kept = edges.tolist()
        return SceneBatch(
            scenes=tuple(self.scenes[i] for i in scenes.tolist()),
            row_scene=new_scene[self.row_scene[rows]],
            camera=PinholeCamera(self.camera.focal[rows], self.camera.center[rows]),
            keypoints=self.keypoints[rows],
            confidence=self.confidence[rows],
            target_keypoints=self.target_keypoints[rows],
            target_confidence=self.target_confidence[rows],
            scale=self.scale[rows],
            hand_keypoints=self.hand_keypoints[rows],
            hand_confidence=self.hand_confidence[rows],
            sees_hand=self.sees_hand[rows],
            any_hand=self.any_hand and bool(self.sees_hand[rows].any()),
            contact_maps=tuple(self.contact_maps[i] for i in kept),
            edge_rows_a=tuple(int(new_row[self.edge_rows_a[i]]) for i in kept),
            edge_rows_b=tuple(int(new_row[self.edge_rows_b[i]]) for i in kept),
            edge_order=tuple(self.edge_order[i] for i in kept),
            edge_scene=new_scene[self.edge_scene[edges]],
            pair_a=new_row[self.pair_a[pairs]],
            pair_b=new_row[self.pair_b[pairs]],
            pair_scene=new_scene[self.pair_scene[pairs]],
        )

    def with_filled_ankles(self, initial_xy: Tensor) -> SceneBatch:
        """Return the batch with missing ankles and feet taken from the start's ``(N, 25, 2)``, pixels.

        Legs outside the picture would otherwise go anywhere (BUDDI's rule, but detected toes stay).
        """
        names = SKELETONS[SKELETON].joint_names
        target, confidence = fill_missing_ankles(self.keypoints, self.confidence, initial_xy, names)
        seen = (self.scale > 0)[:, None]
        return replace(
            self,
            target_keypoints=target,
            target_confidence=torch.where(seen, confidence, torch.zeros_like(confidence)),
            _edges={},
        )


def make_batch(
    scenes: Sequence[Scene], device: torch.device, dtype: torch.dtype, body: BodyModel | None = None
) -> SceneBatch:
    """Lay out scenes as tensors; keypoints of any skeleton are converted to BODY_25 and two hands.

    A person whose visible keypoints all lie in one point, in single precision, has no size to measure errors
    by: such keypoints are treated as missing.

    Args:
        body: the body that is going to be fitted: keypoints that it does not have (SMPL has no knuckles) are
            treated as missing. None: it has them all.

    Raises:
        ValueError: no scenes.
    """
    if not scenes:
        raise ValueError("scenes is empty: there is nothing to fit")

    def floats(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=dtype, device=device)

    def ints(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=device, dtype=torch.int64)

    seen = [person.keypoints for scene in scenes for person in scene.people]
    people, hands = [body25(k) for k in seen], [hand_keypoints(k) for k in seen]
    first_row = np.cumsum([0] + [len(scene.people) for scene in scenes]).tolist()
    pairs = [
        (first_row[s] + i, first_row[s] + j, s)
        for s, scene in enumerate(scenes)
        for i in range(len(scene.people))
        for j in range(i + 1, len(scene.people))
        if scene.people[i].frame == scene.people[j].frame
    ]
    pair_columns = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
    edges = [(s, contact) for s, scene in enumerate(scenes) for contact in scene.contacts]
    keypoints, confidence = floats([k.xy for k in people]), floats([k.confidence for k in people])
    scale = keypoint_scale(keypoints, confidence)
    hand_confidence = floats([k.confidence for k in hands])
    if body is not None:
        confidence = confidence * body.keypoint_mask(SKELETON)
        hand_confidence = hand_confidence * body.keypoint_mask(HANDS)
    sees_hand = is_seen(hand_confidence).unflatten(1, (2, NUM_HAND)).sum(2) >= _FEW
    return SceneBatch(
        scenes=tuple(scenes),
        row_scene=ints([s for s, scene in enumerate(scenes) for _ in scene.people]),
        camera=PinholeCamera.stack(
            [scene.camera for scene in scenes for _ in scene.people], dtype=dtype, device=device
        ),
        keypoints=keypoints,
        confidence=confidence,
        target_keypoints=keypoints,
        target_confidence=confidence,
        scale=scale,
        hand_keypoints=floats([k.xy for k in hands]),
        hand_confidence=hand_confidence,
        sees_hand=sees_hand,
        any_hand=bool(sees_hand.any()),
        contact_maps=tuple(contact.contacts for _, contact in edges),
        edge_rows_a=tuple(first_row[s] + contact.person_a for s, contact in edges),
        edge_rows_b=tuple(first_row[s] + contact.person_b for s, contact in edges),
        edge_order=tuple(contact.order for _, contact in edges),
        edge_scene=ints([s for s, _ in edges]),
        pair_a=ints(pair_columns[0]),
        pair_b=ints(pair_columns[1]),
        pair_scene=ints(pair_columns[2]),
    )


def body25(keypoints: Keypoints2D) -> Keypoints2D:
    """Keypoints in BODY_25 order; missing ones are at (0, 0), and all are missing where they span no box.

    The box is that of single precision, in which a fit computes: there places and confidences that differ
    little are one, or 0.
    """
    converted = keypoints if keypoints.skeleton == SKELETON else convert_keypoints(keypoints, SKELETON)
    xy = np.where(converted.valid[:, None], converted.xy, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        seen = xy.astype(np.float32)[converted.confidence.astype(np.float32) > 0]
        size = np.ptp(seen, axis=0).max() if len(seen) else 0.0
    if not 0 < size < np.inf:
        return Keypoints2D(SKELETON, np.zeros_like(xy), np.zeros(len(xy)))
    return Keypoints2D(SKELETON, xy, converted.confidence)


def hand_keypoints(keypoints: Keypoints2D) -> Keypoints2D:
    """Return the two hands of a person, 42 keypoints; a hand that cannot be used is missing as a whole.

    A hand is used if at least four of its keypoints were seen and its root lies where the person's wrist
    is (to 0.15 of their size): top-down detectors give a hidden hand the place of a neighbour's.
    """
    hands, body = convert_keypoints(keypoints, HANDS), body25(keypoints)
    xy = np.where(hands.valid[:, None], hands.xy, 0.0)
    confidence = hands.confidence.copy()
    size = person_size(body)
    index = SKELETONS[SKELETON].index
    for side, part in (("left", slice(0, NUM_HAND)), ("right", slice(NUM_HAND, 2 * NUM_HAND))):
        wrist = index[f"{side}_wrist"]
        known = body.valid[wrist] and hands.valid[part][0]
        apart = float(np.linalg.norm(body.xy[wrist] - xy[part][0])) if known else 0.0
        if is_seen(confidence[part]).sum() < _FEW or size == 0 or apart > _WRIST_AGREES * size:
            xy[part], confidence[part] = 0.0, 0.0
    return Keypoints2D(HANDS, xy, confidence)
