"""Data sets for PyTorch: by index, or as a stream that knows its rank and worker and can be gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from apu_losses.dataset.arrow import pyarrow
from apu_losses.dataset.folder import shards
from apu_losses.dataset.record import Record, check_record, contact_map, migrated
from apu_losses.dataset.shard import read_records, shard_path


def sample_of(record: Mapping[str, Any], *, picture: bool = False) -> dict[str, Any]:
    """Return a record as tensors.

    Args:
        record: of a pair that was fitted.
        picture: read the photograph by its link, too.

    Returns:
        ``id``, ``interaction``; ``parameters``: name -> ``(2, size)``; ``keypoints (2, J, 2)`` pixels,
        ``confidence (2, J)``; ``contacts``: a `ContactMap`; ``focal ()``, ``center (2,)``, ``size (2,)``
        pixels; ``image``: ``(H, W, 3)`` 8-bit, if asked. `collate_contacts` makes batches of such samples.
    """
    people = [record["person_a"], record["person_b"]]
    names = people[0]["parameters"] or {}
    found: dict[str, Any] = {
        "id": record["id"],
        "interaction": record["interaction"],
        "parameters": {n: _numbers([p["parameters"][n] for p in people]) for n in names},
        "keypoints": _numbers([p["keypoints"]["xy"] for p in people]),
        "confidence": _numbers([p["keypoints"]["confidence"] for p in people]),
        "contacts": contact_map(record),
        "focal": _numbers(record["camera"]["focal"]),
        "center": _numbers(record["camera"]["center"]),
        "size": torch.tensor(
            [record["image"]["width"], record["image"]["height"]], dtype=torch.int64, device="cpu"
        ),
    }
    if picture:
        from apu_contacts.images import read_picture

        path = record["image"]["path"]
        if path is None:
            raise ValueError(f"{record['id']}: the record has no photograph")
        found["image"] = torch.from_numpy(np.array(read_picture(path)))
    return found


def wanted(record: Mapping[str, Any], kept_only: bool) -> bool:
    """Whether a record is trained on: one that was fitted, and kept if that is asked."""
    fitted = all(record[name]["parameters"] is not None for name in ("person_a", "person_b"))
    return fitted and (record["verdict"]["kept"] or not kept_only)


class PairDataset(Dataset[dict[str, Any]]):
    """The pairs of a data set by index; row groups are read as they are needed, in every worker on its own.

    Args:
        folder: the data set.
        kept_only: leave out what was rejected.
        pictures: read photographs by their links.

    Raises:
        DatasetError: not a data set.
        ImportError: pyarrow is missing.

    Example:
        ::

            loader = DataLoader(PairDataset("pairs"), 32, shuffle=True, collate_fn=collate_contacts)
    """

    def __init__(self, folder: str | Path, *, kept_only: bool = True, pictures: bool = False) -> None:
        self.folder, self.pictures = Path(folder), pictures
        # shard, row group, row in it: 12 bytes a pair
        found = [
            np.array([*_places(shard_path(folder, index.number, "parquet"), index.number, kept_only)])
            for index in shards(folder)
        ]
        self._rows = np.concatenate([part.reshape(-1, 3).astype(np.int32) for part in found])
        self._group = lru_cache(maxsize=8)(self._read)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return sample_of(self.record(index), picture=self.pictures)

    def record(self, index: int) -> Record:
        """Return the whole record of a pair.

        Raises:
            IndexError: there is none of this index.
        """
        shard, group, row = self._rows[index].tolist()
        return check_record(migrated(self._group(shard, group)[row]), f"shard {shard}")

    def _read(self, shard: int, group: int) -> list[Record]:
        with pyarrow().parquet.ParquetFile(shard_path(self.folder, shard, "parquet")) as file:
            rows: list[Record] = file.read_row_group(group).to_pylist()
        return rows

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        del state["_group"]  # what is read stays with the process that read it
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._group = lru_cache(maxsize=8)(self._read)


def _places(path: Path, number: int, kept_only: bool) -> Iterator[tuple[int, int, int]]:
    """Find the rows that are wanted without reading their arrays."""
    columns = ["verdict.kept", "person_a.parameters.transl", "person_b.parameters.transl"]
    with pyarrow().parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for row, record in enumerate(file.read_row_group(group, columns=columns).to_pylist()):
                if wanted(record, kept_only):
                    yield number, group, row


class PairStream(IterableDataset[dict[str, Any]]):
    """The pairs of a data set as a stream: shard after shard, each read once, in an order that a seed draws.

    Shards are dealt out to the processes of a distributed training and to the workers of each; no pair comes
    twice in an epoch. The stream of a worker is the same whenever the seed, the epoch and the number of
    workers are; it can be gone on with by `state_dict` and `load_state_dict`, alone or within
    ``torchdata``'s ``StatefulDataLoader``.

    Args:
        folder: the data set.
        kept_only: leave out what was rejected.
        pictures: read photographs by their links.
        shuffle: draw the order of shards, and that of the pairs of each.
        seed: of it; the epoch is mixed in.
        rank, world_size: which process of how many; of ``torch.distributed`` if it runs, else 0 of 1.

    Raises:
        ValueError: a rank that is none of them, or fewer shards than processes.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        kept_only: bool = True,
        pictures: bool = False,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.folder, self.kept_only, self.pictures = Path(folder), kept_only, pictures
        self.shuffle, self.seed, self.epoch, self._given = shuffle, seed, 0, 0
        here, all_of_them = _distributed()
        self.rank = here if rank is None else rank
        self.world_size = all_of_them if world_size is None else world_size
        self.numbers = [index.number for index in shards(folder)]
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must lie in 0 to {self.world_size - 1}, got {self.rank}")
        if len(self.numbers) < self.world_size:
            raise ValueError(
                f"{folder}: {len(self.numbers)} shards cannot be dealt out to {self.world_size} "
                f"processes; make "
                "smaller shards (--images-per-shard)"
            )

    def set_epoch(self, epoch: int) -> None:
        """Draw another order, as of a ``DistributedSampler``; begins at the first pair."""
        self.epoch, self._given = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return where the stream is: the epoch, and how many pairs this worker has given."""
        return {"epoch": self.epoch, "given": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state_dict` was taken; in the same worker of as many."""
        self.epoch, self._given = int(state["epoch"]), int(state["given"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        passed = self._given
        for place, record in enumerate(self._records()):
            if place < passed:
                continue
            self._given = place + 1
            yield sample_of(record, picture=self.pictures)
        self._given = 0

    def _records(self) -> Iterator[Record]:
        worker = get_worker_info()
        which, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        order = list(self.numbers)
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        mine = order[self.rank * count + which :: self.world_size * count]
        for number in mine:
            rows = [
                record
                for record in read_records(shard_path(self.folder, number, "parquet"))
                if wanted(record, self.kept_only)
            ]
            if self.shuffle:
                drawn = np.random.default_rng([self.seed, self.epoch, number]).permutation(len(rows))
                rows = [rows[i] for i in drawn]
            yield from rows


def _distributed() -> tuple[int, int]:
    """Rank and number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _numbers(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device="cpu")
