"""One shard: a Parquet file of records, a tar of the same number with pictures, and what vouches for both.

``000012.parquet`` and ``000012.tar`` appear first, ``000012.json`` last: a shard without it is not there. It
names the digests of the two, so that a file that was cut off, exchanged or damaged is found out.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from apu_contacts.digest import file_digest
from apu_contacts.files import staged_file, write_text
from apu_contacts.reading import read_json
from apu_losses.dataset.arrow import arrow_schema, pyarrow
from apu_losses.dataset.record import (
    SCHEMA_VERSION,
    DatasetError,
    Record,
    check_record,
    migrated,
    parameter_sizes,
)

SHARD = "apu dataset shard"
ROWS = 128
"""Records of a row group: about 2 MB, what a reader of one record has to unpack."""


@dataclass
class ShardIndex:
    """What ``NUMBER.json`` says of a shard.

    Attributes:
        number: of the shard.
        records: how many pairs.
        parameters: name -> size of the body parameters; empty where nothing was fitted.
        digests: ending -> digest of the file.
        images: of every photograph of the shard, those without pairs among them: ``name``, ``source``,
            ``pairs`` and ``problem``, "" where there is none.
        made_from: digest of what the shard was made from.
        problems: what else could not be done, one line each.
    """

    number: int
    records: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    made_from: str = ""
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"kind": SHARD, "schema_version": SCHEMA_VERSION, **vars(self)}

    @classmethod
    def load(cls, path: str | Path) -> ShardIndex:
        """Read ``NUMBER.json``.

        Raises:
            DatasetError: it is something else.
        """
        data = read_json(path, DatasetError)
        if not isinstance(data, dict) or data.pop("kind", None) != SHARD:
            raise DatasetError(f"{path}: not the index of a shard, as `apu generate` writes it")
        data.pop("schema_version", None)
        try:
            return cls(**data)
        except TypeError as error:
            raise DatasetError(f"{path}: not the index of a shard: {error}") from None


def shard_path(folder: str | Path, number: int, ending: str) -> Path:
    """Return where a file of a shard lies: ``FOLDER/000012.parquet``."""
    return Path(folder) / f"{number:06d}.{ending}"


def write_shard(
    folder: str | Path,
    index: ShardIndex,
    records: Sequence[Mapping[str, Any]],
    *,
    pictures: bool = False,
) -> ShardIndex:
    """Write a shard, its index last; return the index with what was found out about the files.

    Every record is checked against the schema. The same records give the same bytes.

    Args:
        folder: of the data set.
        index: number, images and origin.
        records: in any order; they are written in the order of their ids.
        pictures: write the tar with the photographs and the records as JSON, too, as WebDataset reads it.

    Raises:
        DatasetError: a record that does not satisfy the schema, two of one id, or bodies of different kinds.
        OSError: a file cannot be written; no index is then there.
    """
    rows = sorted((check_record(dict(r), f"record {r.get('id')!r}") for r in records), key=lambda r: r["id"])
    for one, other in pairwise(rows):
        if one["id"] == other["id"]:
            raise DatasetError(f"two records are called {one['id']!r}: ids name records")
    sizes = common_sizes(rows, f"shard {index.number}") or index.parameters
    shard_path(folder, index.number, "json").unlink(missing_ok=True)
    parquet, tar = shard_path(folder, index.number, "parquet"), shard_path(folder, index.number, "tar")
    write_records(parquet, rows, sizes)
    digests = {"parquet": file_digest(parquet)}
    if pictures:
        write_tar(tar, rows, index.number)
        digests["tar"] = file_digest(tar)
    else:
        tar.unlink(missing_ok=True)
    done = ShardIndex(
        index.number, len(rows), sizes, digests, index.images, index.made_from, list(index.problems)
    )
    write_text(shard_path(folder, index.number, "json"), json.dumps(done.to_dict(), indent=1) + "\n")
    return done


def common_sizes(records: Sequence[Mapping[str, Any]], where: str) -> dict[str, int]:
    """Return the parameter sizes that all fitted records share; empty where nothing was fitted.

    Raises:
        DatasetError: two kinds of bodies.
    """
    found: dict[str, int] = {}
    for record in records:
        sizes = parameter_sizes(record)
        if sizes and found and sizes != found:
            raise DatasetError(
                f"{where}: {record['id']!r} has the parameters {sizes}, others have {found}: a data "
                f"set holds "
                "bodies of one kind; `apu convert` turns one into another"
            )
        found = found or sizes
    return found


def write_records(path: str | Path, records: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> None:
    """Write records as a Parquet file, whole or not at all."""
    pa = pyarrow()
    # a struct without fields cannot be written: where nothing was fitted, a column stands in
    schema = arrow_schema(sizes or {"transl": 3})
    table = pa.Table.from_pylist(list(records), schema=schema)
    with staged_file(path) as part:
        pa.parquet.write_table(table, part, compression="zstd", row_group_size=ROWS)


def read_records(path: str | Path, *, check: bool = True) -> Iterator[Record]:
    """Return the records of a Parquet file one after the other, those of older versions as of this one.

    Args:
        path: the file; one row group of it is in memory at a time.
        check: hold each against the schema.

    Raises:
        DatasetError: the file is none, is cut off or damaged, or a record does not satisfy the schema.
        FileNotFoundError: there is no such file.
    """
    pa = pyarrow()
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with pa.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    record = migrated(row, str(path))
                    yield check_record(record, f"{path}, {record.get('id')!r}") if check else record
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DatasetError(
            f"{path}: not a whole Parquet file of records ({' '.join(str(error).split())[:160]}); was it cut "
            "off? `apu generate` makes it again"
        ) from None


def write_tar(path: str | Path, records: Sequence[Mapping[str, Any]], number: int) -> None:
    """Write records and their photographs as WebDataset reads them: ``000012_0003.json``, ``.jpg``.

    The key has no dot; times, owners and rights are none, so that the same records give the same bytes. Of a
    photograph that is gone only the record is there.
    """
    with staged_file(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
        for place, record in enumerate(records):
            key = f"{number:06d}_{place:05d}"
            text = json.dumps(record, separators=(",", ":"))
            _add(archive, f"{key}.json", text.encode("utf-8"))
            picture = record["image"]["path"]
            if picture is not None and Path(picture).is_file():
                ending = Path(picture).suffix.lower().lstrip(".") or "jpg"
                _add(archive, f"{key}.{ending}", Path(picture).read_bytes())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))
