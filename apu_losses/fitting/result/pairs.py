"""Fits of two people as pairs for a prior to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apu_losses.fitting.result.record import FitResult
from apu_losses.prior.pairs import PairSet


def pairs_of_results(
    results: Sequence[FitResult], *, kept_only: bool = True, labels: Sequence[str] | None = None
) -> PairSet:
    """Return fits of two people as pairs, with where each fit began as the estimate.

    Args:
        results: of any scenes; those of more or fewer people, and failed ones, are left out.
        kept_only: leave out what the filter does not keep.
        labels: of each result; the names of the scenes by default.

    Raises:
        ValueError: nothing is left.
    """
    names = [result.scene for result in results] if labels is None else list(labels)
    chosen = [
        (result, name)
        for result, name in zip(results, names, strict=True)
        if len(result.parameters["transl"]) == 2
        and not result.failed
        and (result.verdict.kept or not kept_only)
    ]
    if not chosen:
        raise ValueError(f"none of {len(results)} results is a fit of two people that the filter keeps")
    fitted, begun = (
        {name: np.stack([table[name] for table in tables]) for name in tables[0]}
        for tables in ([r.parameters for r, _ in chosen], [r.start for r, _ in chosen])
    )
    return PairSet(fitted, begun, [name for _, name in chosen])


def read_fitted_pairs(folder: str | Path, *, kept_only: bool = True) -> PairSet:
    """Read a folder that `apu fit` or `apu run` filled (its ``fits``), as `pairs_of_results`.

    Raises:
        FileNotFoundError: no such folder, or no result in it.
        ValueError: nothing is left.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    files = sorted(f for f in root.rglob("*.npz") if f.with_suffix(".json").is_file())
    if not files:
        raise FileNotFoundError(f"{root}: holds no result of a fit (NAME.npz with NAME.json)")
    try:
        return pairs_of_results([FitResult.load(f) for f in files], kept_only=kept_only)
    except ValueError as error:
        raise ValueError(f"{root}: {error}") from None
