"""Pairs from files of others: BUDDI's fits and the data sets that people hold, and motion capture.

All is read through doors that run nothing (`apu_contacts.sources`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading import read_arrays
from apu_contacts.sources import read_npz, read_numpy_pickle
from apu_losses.prior.pairs import PairSet

_NAMES = ("global_orient", "body_pose", "betas", "transl")
_POSED = 69  # numbers of a person in the motion capture file: root, 21 joints, place


def read_buddi_pairs(path: str | Path) -> PairSet:
    """Read pairs of SMPL-X parameters as BUDDI's and its data sets' files hold them.

    One file, or a folder of them (all ``.npz`` and ``.pkl`` below it, by name). A record is a table with
    ``global_orient``, ``body_pose``, ``betas`` and ``transl`` (also with ``smplx_`` before the names, or in a
    table ``humans`` or ``params``), whose first dimension, or first two, are the two people:
    ``(2, size)`` or ``(frames, 2, size)``. ``scale`` beside ten ``betas`` is BUDDI's age coefficient; an
    eleventh beta is, too. Estimates are read where they stand under ``bev_`` or ``init_`` before the names.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a file that holds no pair, or refers to more than arrays of numbers.
    """
    root = Path(path)
    if root.is_dir():
        files = sorted(f for f in root.rglob("*") if f.suffix in (".npz", ".pkl") and f.is_file())
        if not files:
            raise FileNotFoundError(f"{root}: holds no .npz and no .pkl")
    elif root.is_file():
        files = [root]
    else:
        raise FileNotFoundError(f"{root}: no such file or folder")
    found = [pairs for file in files for pairs in _pairs_of(file)]
    if not found:
        raise ValueError(f"{root}: no record holds {', '.join(_NAMES)} of two people")
    told = all(pairs.estimates is not None for pairs in found)
    if not told:
        found = [PairSet(p.params, None, p.labels) for p in found]
    return PairSet.joined(found)


def read_mocap_pairs(path: str | Path, *, cleaned: bool = True) -> PairSet:
    """Read a file of measured two-person moments with free-body parameters.

    It holds ``cleaned`` and ``retargeted`` ``(N, 2, 69)``, numbers of root, pose and place, ``betas``
    ``(N, 2, 10)`` and ``passed (N,)``, which moments are without faults.

    Args:
        cleaned: those in which surfaces were made to touch, and only the moments that passed.

    Raises:
        ValueError: another file.
    """
    arrays = read_arrays(path)
    name = "cleaned" if cleaned else "retargeted"
    missing = [key for key in (name, "betas", "passed") if key not in arrays]
    if missing:
        raise ValueError(f"{path}: not a file of motion capture pairs: it lacks {missing}")
    numbers, betas = np.asarray(arrays[name]), np.asarray(arrays["betas"])
    if numbers.ndim != 3 or numbers.shape[1:] != (2, _POSED):
        raise ValueError(f"{path}: {name} must be (N, 2, {_POSED}), got {numbers.shape}")
    kept = np.isfinite(numbers).all((1, 2))
    if cleaned:
        kept &= np.asarray(arrays["passed"], dtype=bool)
    numbers, betas = numbers[kept], betas[kept]
    params = {
        "global_orient": numbers[..., :3],
        "body_pose": numbers[..., 3:66],
        "transl": numbers[..., 66:],
        "betas": betas,
        "age": np.zeros((*betas.shape[:2], 1)),
    }
    return PairSet(params, None, ["motion capture"] * len(betas))


def _pairs_of(file: Path) -> Iterator[PairSet]:
    content = read_npz(file) if file.suffix == ".npz" else read_numpy_pickle(file)
    for record in _records(content):
        params = _two_people(record, "")
        if params is None:
            continue
        estimates = _two_people(record, "bev_") or _two_people(record, "init_")
        if estimates is not None and len(estimates["transl"]) != len(params["transl"]):
            estimates = None
        try:
            yield PairSet(params, estimates, [file.stem] * len(params["transl"]))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None


def _records(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield tables that may hold pairs, wherever they are nested."""
    if isinstance(content, np.ndarray) and content.dtype == object:
        content = content.ravel().tolist()
    if isinstance(content, Mapping):
        if any(_found(content, name, "") is not None for name in ("body_pose",)):
            yield content
            return
        for value in content.values():
            yield from _records(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _records(value)


def _found(table: Mapping[str, Any], name: str, before: str) -> NDArray[np.floating[Any]] | None:
    for key in (f"{before}{name}", f"{before}smplx_{name}", f"smplx_{before}{name}"):
        value = table.get(key)
        if isinstance(value, np.ndarray | list | tuple):
            array = np.asarray(value)
            return array.astype(np.float64) if array.dtype.kind in "fiu" else None
    return None


def _two_people(table: Mapping[str, Any], before: str) -> dict[str, Any] | None:
    found = {name: _found(table, name, before) for name in (*_NAMES, "scale")}
    known = {name: value for name, value in found.items() if value is not None}
    if not set(_NAMES) <= set(known):
        return None
    shaped: dict[str, NDArray[np.floating[Any]]] = {}
    for name, value in known.items():
        # (2, size) or (frames, 2, size); rotations may stand joint by joint
        people = 0 if value.shape[0] == 2 and (value.ndim < 3 or value.shape[1] != 2) else 1
        if value.ndim <= people or value.shape[people] != 2:
            return None
        frames = value if people else value[None]
        shaped[name] = frames.reshape(frames.shape[0], 2, -1)
    betas = shaped.pop("betas")
    scale = shaped.pop("scale", None)
    age = betas[..., 10:11] if betas.shape[2] == 11 else np.zeros((*betas.shape[:2], 1))
    if scale is not None and betas.shape[2] <= 10:
        age = scale[..., :1]
    rest = {"betas": betas[..., :10], "age": np.clip(age, 0, 1)}
    return {**shaped, **rest} if len({len(v) for v in (*shaped.values(), betas)}) == 1 else None


def describe_pairs(pairs: PairSet) -> str:
    """One line about a set, for people: ``120 pairs with estimates: hug 12, kick 12, ...``.

    Example:
        >>> import numpy as np
        >>> zeros = {"global_orient": np.zeros((2, 2, 3)), "body_pose": np.zeros((2, 2, 63))}
        >>> describe_pairs(PairSet({**zeros, "transl": np.zeros((2, 2, 3))}, labels=["hug", "kick"]))
        '2 pairs without estimates: hug 1, kick 1'
    """
    counts: dict[str, int] = {}
    for label in pairs.labels:
        counts[label] = counts.get(label, 0) + 1
    named = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()) if label)
    said = "without" if pairs.estimates is None else "with"
    return f"{len(pairs)} pairs {said} estimates" + (f": {named}" if named else "")
