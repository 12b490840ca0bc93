"""Batches of samples that hold contact maps, for `torch.utils.data.DataLoader`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate


def collate_contacts(samples: Sequence[Any]) -> Any:
    """Make one batch of samples; the ``collate_fn`` of a data loader whose samples hold contact maps.

    Samples may be dictionaries, tuples (named ones too) and lists of anything, alike in all samples. Tensors,
    arrays and numbers of one shape are stacked. What has no batch form stays a list with one entry a sample:
    contact maps, as the losses take them; tensors of different shapes; text; None; objects of any other
    class. It is a plain function, so that workers of any start method can take it.

    Args:
        samples: B of them, at least one.

    Returns:
        Of the structure of one sample.

    Raises:
        ValueError: no samples, or samples that are not alike, with the place that differs.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap
        >>> from apu_losses import collate_contacts
        >>> one = {"verts": torch.zeros(4, 3), "touch": ContactMap([(3, 50)]), "points": torch.zeros(2, 2)}
        >>> two = {"verts": torch.ones(4, 3), "touch": ContactMap.empty(), "points": torch.zeros(5, 2)}
        >>> batch = collate_contacts([one, two])
        >>> batch["verts"].shape, [len(touch) for touch in batch["touch"]]
        (torch.Size([2, 4, 3]), [1, 0])
        >>> [tuple(points.shape) for points in batch["points"]]
        [(2, 2), (5, 2)]
    """
    if not len(samples):
        raise ValueError("samples must have at least one, got none")
    return _collated(list(samples), "samples")


def _collated(values: list[Any], where: str) -> Any:
    first = values[0]
    if isinstance(first, (Tensor, np.ndarray, np.generic, bool, int, float)):
        return _stacked(values, where)
    if isinstance(first, Mapping):
        _check_alike(values, where, Mapping, lambda value: sorted(map(str, value)), "keys")
        return {key: _collated([value[key] for value in values], f"{where}[{key!r}]") for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        _check_alike(values, where, type(first), len, "length")
        columns = zip(first._fields, zip(*values, strict=True), strict=True)
        return type(first)(*(_collated(list(column), f"{where}.{name}") for name, column in columns))
    if isinstance(first, (tuple, list)):
        if any(type(value) is not type(first) or len(value) != len(first) for value in values):
            if isinstance(first, list) and all(isinstance(value, list) for value in values):
                return values  # lists of different lengths: ragged, as tensors may be
            _check_alike(values, where, type(first), len, "length")
        return type(first)(
            _collated(list(column), f"{where}[{number}]")
            for number, column in enumerate(zip(*values, strict=True))
        )
    return values


def _stacked(values: list[Any], where: str) -> Any:
    """One tensor of B of a kind; the list of them as tensors where shapes differ."""
    if any(value is None for value in values):
        return values
    numeric = (Tensor, np.ndarray, np.generic, bool, int, float)
    _check_alike(values, where, numeric, lambda value: 0, "")
    if isinstance(values[0], (Tensor, np.ndarray)):
        if any(isinstance(value, np.ndarray) and value.dtype.kind in "OSU" for value in values):
            return values  # of objects or text
        tensors = [value if isinstance(value, Tensor) else torch.from_numpy(value) for value in values]
        if len({tensor.shape for tensor in tensors}) > 1:
            return tensors
        if len({tensor.dtype for tensor in tensors}) > 1:
            dtypes = sorted({str(tensor.dtype) for tensor in tensors})
            raise ValueError(f"{where} must have one dtype in all samples, got {', '.join(dtypes)}")
        return default_collate(tensors)
    return default_collate(values)


def _check_alike(values: list[Any], where: str, kind: Any, of: Any, what: str) -> None:
    for number, value in enumerate(values):
        if not isinstance(value, kind):
            raise ValueError(
                f"{where} must be of one type in all samples, got {type(values[0]).__name__} in sample 0 and "
                f"{type(value).__name__} in sample {number}"
            )
        if of(value) != of(values[0]):
            raise ValueError(
                f"{where} must have the same {what} in all samples, got {of(values[0])} in sample 0 and "
                f"{of(value)} in sample {number}"
            )
