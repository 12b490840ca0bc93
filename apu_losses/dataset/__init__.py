"""Data sets of pairs: records on disk, their check, what trains on them, and what is said about them.

`apu generate` writes them: a folder of numbered Parquet shards, each with an index that vouches for it.
"""

from __future__ import annotations

from apu_losses.dataset.audit import Audit, audit
from apu_losses.dataset.card import write_cards
from apu_losses.dataset.export import export
from apu_losses.dataset.folder import DatasetCounts, count, merge, records, split, verify
from apu_losses.dataset.picture_hash import duplicates, picture_hash
from apu_losses.dataset.record import (
    SCHEMA_VERSION,
    DatasetError,
    check_record,
    contact_map,
    evidence_of,
    migrated,
    record_schema,
)
from apu_losses.dataset.rules import Rules
from apu_losses.dataset.shard import ShardIndex, read_records, write_shard
from apu_losses.dataset.training import PairDataset, PairStream, sample_of

__all__ = [
    "SCHEMA_VERSION",
    "Audit",
    "DatasetCounts",
    "DatasetError",
    "PairDataset",
    "PairStream",
    "Rules",
    "ShardIndex",
    "audit",
    "check_record",
    "contact_map",
    "count",
    "duplicates",
    "evidence_of",
    "export",
    "merge",
    "migrated",
    "picture_hash",
    "read_records",
    "record_schema",
    "records",
    "sample_of",
    "split",
    "verify",
    "write_cards",
    "write_shard",
]
