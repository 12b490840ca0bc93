"""Pairs of people to learn from: their parameters, and what an estimator said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_contacts.files import staged_file
from apu_contacts.reading import read_arrays
from apu_losses.bodies.protocol import BodyModel
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.representation import encode, root_offset

Array = NDArray[np.floating[Any]]
_ESTIMATE = "estimate."


@dataclass(frozen=True, eq=False)
class PairSet:
    """N pairs of people.

    Args:
        params: ``(N, 2, size)`` by the names of a body; ``global_orient``, ``body_pose`` and ``transl`` at
            least. What is missing has the body's default.
        estimates: the same of what an estimator said of them; None: nobody was asked.
        labels: ``(N,)`` words, such as the type of interaction; empty words by default.

    Raises:
        ValueError: shapes that do not agree, or numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> zeros = {"global_orient": np.zeros((4, 2, 3)), "body_pose": np.zeros((4, 2, 63))}
        >>> pairs = PairSet({**zeros, "transl": np.zeros((4, 2, 3))})
        >>> len(pairs), len(pairs.only([0, 2])), pairs.estimates is None
        (4, 2, True)
    """

    params: Mapping[str, Array]
    estimates: Mapping[str, Array] | None = None
    labels: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        params = _checked("params", self.params)
        count = len(params["transl"])
        object.__setattr__(self, "params", params)
        if self.estimates is not None:
            object.__setattr__(self, "estimates", _checked("estimates", self.estimates, count))
        labels = tuple(map(str, self.labels)) or ("",) * count
        if len(labels) != count:
            raise ValueError(f"labels must name each of {count} pairs, got {len(labels)}")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.params["transl"])

    def only(self, which: Sequence[int] | NDArray[np.integer[Any]]) -> PairSet:
        """Return these pairs alone."""
        index = np.asarray(which, dtype=np.int64)
        estimates = self.estimates
        return PairSet(
            {name: value[index] for name, value in self.params.items()},
            None if estimates is None else {name: value[index] for name, value in estimates.items()},
            [self.labels[i] for i in index.tolist()],
        )

    @classmethod
    def joined(cls, sets: Sequence[PairSet]) -> PairSet:
        """Return all pairs of several sets, which must hold the same parameters.

        Raises:
            ValueError: no set, or other parameters.
        """
        if not sets:
            raise ValueError("sets is empty: there is nothing to join")
        names = {(frozenset(s.params), s.estimates is None) for s in sets}
        if len(names) > 1:
            raise ValueError("sets must hold the same parameters, and all have estimates or none")
        first = sets[0]

        def all_of(tables: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
            return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}

        estimates = None if first.estimates is None else all_of([s.estimates or {} for s in sets])
        return cls(all_of([s.params for s in sets]), estimates, [w for s in sets for w in s.labels])

    def codes(self, body: BodyModel, layout: PriorLayout) -> tuple[Tensor, Tensor | None]:
        """Return pairs and estimates as the prior has them: ``(N, 2, D)`` float32 each.

        Raises:
            ValueError: parameters of another size than the body's.
        """
        estimates = self.estimates
        return (
            _codes("params", self.params, body, layout),
            None if estimates is None else _codes("estimates", estimates, body, layout),
        )

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` that `read_pairs` reads."""
        arrays: dict[str, NDArray[Any]] = {n: v.astype(np.float32) for n, v in self.params.items()}
        arrays |= {_ESTIMATE + n: v.astype(np.float32) for n, v in (self.estimates or {}).items()}
        arrays["labels"] = np.array(self.labels, dtype=np.str_)
        with staged_file(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_pairs(path: str | Path) -> PairSet:
    """Read a file of `PairSet.save`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else.
    """
    arrays = read_arrays(path)
    labels = arrays.pop("labels", np.zeros(0, dtype=np.str_))
    estimates = {n.removeprefix(_ESTIMATE): v for n, v in arrays.items() if n.startswith(_ESTIMATE)}
    params = {n: v for n, v in arrays.items() if not n.startswith(_ESTIMATE)}
    try:
        return PairSet(params, estimates or None, [str(w) for w in labels])
    except ValueError as error:
        raise ValueError(f"{path}: not a file of pairs: {error}") from None


def _checked(what: str, table: Mapping[str, ArrayLike], count: int | None = None) -> dict[str, Array]:
    missing = [name for name in ("global_orient", "body_pose", "transl") if name not in table]
    if missing:
        raise ValueError(f"{what} lacks {missing}; it has {sorted(table)}")
    found: dict[str, Array] = {}
    for name, value in table.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{what}[{name!r}] must hold numbers, got {array.dtype}")
        array = array.astype(np.float32 if array.dtype != np.float64 else np.float64)
        count = len(array) if count is None and array.ndim else count
        if array.ndim != 3 or array.shape[:2] != (count, 2):
            raise ValueError(f"{what}[{name!r}] must be ({count}, 2, size), got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{what}[{name!r}] holds numbers that are not finite")
        found[name] = array
    return found


@torch.no_grad()
def _codes(what: str, table: Mapping[str, Array], body: BodyModel, layout: PriorLayout) -> Tensor:
    specs = body.parameter_specs
    wanted = {"global_orient", "body_pose", "transl", *(name for name, _ in layout.shape)}
    count = len(table["transl"])
    people: list[dict[str, Tensor]] = []
    for who in (0, 1):
        person = {}
        for name in wanted:
            default = np.tile(np.asarray(specs[name].default, dtype=np.float32), (count, 1))
            value = np.asarray(table[name][:, who] if name in table else default)
            if value.shape[1] != specs[name].size:
                raise ValueError(
                    f"{what}[{name!r}] has {value.shape[1]} values a person, the body {body.name!r} has "
                    f"{specs[name].size}: pairs of another body?"
                )
            person[name] = torch.as_tensor(value, dtype=torch.float32, device="cpu")
        people.append(person)
    offsets = []
    for person in people:
        on_body = {
            n: v.to(body.faces.device, getattr(body, "dtype", torch.float32)) for n, v in person.items()
        }
        offsets.append(root_offset(body, on_body, layout).to("cpu", torch.float32))
    return encode(layout, people[0], people[1], *offsets)
