"""Who touches whom, said of vertices: the labels of contact heads, in a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.functional.options import check_number
from apu_losses.functional.robust import geman_mcclure, geman_mcclure_weight
from apu_losses.geometry.operators import nearest_vertex


@dataclass(frozen=True, eq=False)
class DenseContact:
    """What a contact head said of two people of a scene.

    Args:
        person_a, person_b: indices into ``Scene.people``.
        contacts_a, contacts_b: ``(V,)`` probabilities of the vertices of the body that is fitted; 0 where
            nothing touches, or where what touches is not the other person
            (``apu_contacts.match_dense_contacts(...).matched_a``).

    Raises:
        ValueError: values that are no probabilities, or one person twice.

    Example:
        >>> import numpy as np
        >>> from apu_losses.fitting import DenseContact
        >>> DenseContact(0, 1, np.ones(12242), np.zeros(12242)).contacts_a.shape
        (12242,)
    """

    person_a: int
    person_b: int
    contacts_a: NDArray[np.float64]
    contacts_b: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.person_a == self.person_b:
            raise ValueError(f"person_a, person_b must be two people, got {self.person_a} twice")
        for name in ("contacts_a", "contacts_b"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
                raise ValueError(
                    f"{name}: expected probabilities (V,) from 0 to 1, got shape {values.shape}; are these "
                    "logits, or vertex ids?"
                )
            object.__setattr__(self, name, values)


class _Labels(NamedTuple):
    """The labelled vertices of one side, and how much each counts; they sum to one half."""

    ids: Tensor
    share: Tensor


@dataclass(frozen=True, eq=False)
class DenseContactTerm:
    """Labelled vertices are pulled to the nearest labelled vertex of the other person; square metres.

    `apu_losses.functional.dense_contact` in a fit. Which scene has which labels is the caller's to say, so it
    is a term of your own, with a weight in the preset::

        term = DenseContactTerm({"scene": [DenseContact(0, 1, contacts_a, contacts_b)]})
        preset = load_preset("best").weighted(dense_contact=1e4)
        SceneFitter(preset=preset, terms={"dense_contact": term}).fit([scene])

    Args:
        labels: what was said, by the name of the scene. A scene that is not named has the value 0.
        threshold: probabilities from here on take part.
        robust: metres from which a vertex lets go; None: never.
        most: of more labelled vertices of a person evenly chosen ones stand for all.

    Raises:
        ValueError: an option that is not positive.

    Example:
        >>> from apu_losses.fitting import DenseContactTerm
        >>> DenseContactTerm({}).robust
        0.1
    """

    labels: Mapping[str, Sequence[DenseContact]]
    threshold: float = 0.5
    robust: float | None = 0.1
    most: int = 256
    _known: dict[int, tuple[DenseContact, _Labels, _Labels]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, positive=True)
        if self.robust is not None:
            check_number("robust", self.robust, positive=True)
        if self.most < 1:
            raise ValueError(f"most must be 1 vertex or more, got {self.most}")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        found, (a, b) = state.once(self, lambda: self._search(state))
        squared = (a - b).square().sum(1)
        energy = squared if self.robust is None else geman_mcclure(squared, self.robust)
        return state.batch.per_scene(energy * found.share, found.scene)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return what separates each labelled vertex from its nearest."""
        found, (a, b) = state.once(self, lambda: self._search(state))
        count = len(found.share)
        if not count:
            return no_residuals(state, movement)
        squared = (a - b).detach().square().sum(1)
        weight = 1.0 if self.robust is None else geman_mcclure_weight(squared, self.robust)
        rows, ids = torch.cat([found.row_a, found.row_b]), torch.cat([found.vertex_a, found.vertex_b])
        moved = movement.select(rows, ids)
        return Residuals(
            a - b, found.share * weight, [(found.row_a, moved[:count]), (found.row_b, -moved[count:])]
        )

    def _search(self, state: FitState) -> tuple[_Found, tuple[Tensor, Tensor]]:
        found = self._nearest(state)
        rows, ids = torch.cat([found.row_a, found.row_b]), torch.cat([found.vertex_a, found.vertex_b])
        points = state.select(rows, ids)
        count = len(found.share)
        return found, (points[:count], points[count:])

    def _nearest(self, state: FitState) -> _Found:
        vertices = state.vertices
        none = torch.zeros(0, dtype=torch.int64, device=vertices.device)
        columns: list[tuple[Tensor, ...]] = [(none, none, none, none, vertices.new_zeros(0), none)]
        first = 0
        for number, scene in enumerate(state.batch.scenes):
            for said in self.labels.get(scene.name, ()):
                pair = said.person_a, said.person_b
                if not all(0 <= index < len(scene.people) for index in pair):
                    raise ValueError(
                        f"{scene.name}: dense contact of people {pair}, but the scene has {len(scene.people)}"
                    )
                sides = self._sides(said, vertices)
                if any(not len(side.ids) for side in sides):
                    continue
                rows = [first + index for index in pair]
                for own, other in ((0, 1), (1, 0)):
                    # one call a pair: a scene has the same bits in any company
                    points = vertices[rows[own], sides[own].ids]
                    others = vertices[rows[other], sides[other].ids]
                    nearest = nearest_vertex(points[None], others[None]).vertex[0].clamp(min=0)
                    row_own, row_other = (torch.full_like(nearest, rows[k]) for k in (own, other))
                    owner = torch.full_like(nearest, number)
                    ids = sides[other].ids[nearest]
                    columns.append((row_own, sides[own].ids, row_other, ids, sides[own].share, owner))
            first += len(scene.people)
        return _Found(*(torch.cat(each) for each in zip(*columns, strict=True)))

    def _sides(self, said: DenseContact, vertices: Tensor) -> tuple[_Labels, _Labels]:
        known = self._known.get(id(said))
        if known is None or known[1].share.dtype != vertices.dtype or known[1].ids.device != vertices.device:
            a, b = (
                self._labelled(name, values, vertices)
                for name, values in (("contacts_a", said.contacts_a), ("contacts_b", said.contacts_b))
            )
            known = self._known[id(said)] = (said, a, b)
        return known[1], known[2]

    def _labelled(self, name: str, values: ArrayLike, vertices: Tensor) -> _Labels:
        chances = np.asarray(values)
        if len(chances) != vertices.shape[1]:
            raise ValueError(
                f"{name}: expected {vertices.shape[1]} probabilities, as the fitted body has vertices, got "
                f"{len(chances)}; of another topology?"
            )
        ids = np.flatnonzero(chances >= self.threshold)
        if len(ids) > self.most:
            ids = ids[np.linspace(0, len(ids) - 1, self.most).round().astype(np.int64)]
        share = chances[ids] / (2 * max(float(chances[ids].sum()), 1e-12))
        return _Labels(
            torch.as_tensor(ids, dtype=torch.int64, device=vertices.device),
            torch.as_tensor(share, dtype=vertices.dtype, device=vertices.device),
        )


class _Found(NamedTuple):
    """``(K,)`` each labelled vertex of either side, its nearest, its share and its scene."""

    row_a: Tensor
    vertex_a: Tensor
    row_b: Tensor
    vertex_b: Tensor
    share: Tensor
    scene: Tensor
