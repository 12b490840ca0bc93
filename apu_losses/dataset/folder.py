"""A data set: a folder of shards. What is in it, whether it is whole, two made one, one made several."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from apu_contacts.digest import file_digest
from apu_contacts.files import OutputError, exclusive, made_folder
from apu_losses.dataset.record import DatasetError, Record
from apu_losses.dataset.shard import ShardIndex, read_records, shard_path, write_shard

By = Literal["source", "interaction"]


def shards(folder: str | Path) -> list[ShardIndex]:
    """Return the shards of a data set, by number.

    Raises:
        DatasetError: not a folder, or no shard in it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise DatasetError(
            f"{folder}: no such folder; a data set is a folder of shards (000000.parquet, ...)"
        )
    names = sorted(path for path in place.glob("*.json") if path.stem.isdigit() and len(path.stem) >= 6)
    if not names:
        raise DatasetError(f"{folder}: no shard is in it (000000.json, ...); `apu generate` writes them")
    return [ShardIndex.load(path) for path in names]


def records(folder: str | Path, *, check: bool = True) -> Iterator[Record]:
    """Return the records of a data set one after the other, in the order of shards and ids; see
    `read_records`.
    """
    for index in shards(folder):
        yield from read_records(shard_path(folder, index.number, "parquet"), check=check)


@dataclass
class DatasetCounts:
    """What is in a data set; the table of ``apu dataset info``.

    Attributes:
        images, pairs, kept: photographs, records, and those of them that were kept.
        sources: source -> images, candidate pairs, pairs that were kept (the paper's Table 4).
        interactions: in the first answer's words -> pairs that were kept.
        statuses: what the answers came to -> pairs.
        reasons: rule -> pairs that it rejected; a pair may be rejected by several.
        parts: body part -> contacts of kept pairs that it takes part in.
        ages: ``"adult"``, ``"child"`` (age of at least a half), ``"unknown"`` -> people of kept pairs.
        described: ``"age_group: child"`` and the like, as models said -> people of kept pairs; empty where
            the question did not ask for it.
        bytes: of all files.
    """

    images: int = 0
    pairs: int = 0
    kept: int = 0
    sources: dict[str, list[int]] = field(default_factory=dict)
    interactions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    described: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        self.pairs += 1
        row = self.sources.setdefault(record["source"], [0, 0, 0])
        row[1] += 1
        self.statuses[record["evidence"]["status"]] += 1
        self.reasons.update(record["verdict"]["reasons"])
        self.models.update({answer["model"] or answer["asked_model"] for answer in record["answers"]})
        self.bodies[record["provenance"]["body_model"] or "not fitted"] += 1
        if not record["verdict"]["kept"]:
            return
        self.kept += 1
        row[2] += 1
        self.interactions[record["interaction"] or "not named"] += 1
        for contact in record["contacts"]:
            self.parts.update({*contact["part_a"].split("/"), *contact["part_b"].split("/")})
        for name in ("person_a", "person_b"):
            age = (record[name]["parameters"] or {}).get("age")
            self.ages["unknown" if not age else "child" if age[0] >= 0.5 else "adult"] += 1
        told = record["evidence"]["attributes"] or {"a": {}, "b": {}}
        for own in (told["a"], told["b"]):
            self.described.update(f"{name}: {said['value']}" for name, said in own.items() if said)

    def described_in_words(self) -> str:
        """``"age_group: adult 3, child 1; build: slim 2"``; empty where nothing was said."""
        kinds: dict[str, list[str]] = {}
        for name, number in sorted(self.described.items(), key=lambda item: (-item[1], item[0])):
            kind, _, value = name.partition(": ")
            kinds.setdefault(kind, []).append(f"{value} {number}")
        return "; ".join(f"{kind}: {', '.join(values)}" for kind, values in sorted(kinds.items()))

    def rows(self) -> list[tuple[str, object]]:
        """Return the table of one number each."""
        return [
            ("images", self.images),
            ("pairs", self.pairs),
            ("pairs kept", self.kept),
            ("interactions of kept pairs", len(self.interactions)),
            *((f"people, {name}", count) for name, count in sorted(self.described.items())),
            *((f"pairs: {status}", count) for status, count in sorted(self.statuses.items())),
            *((f"rejected by {rule}", count) for rule, count in self.reasons.most_common()),
            ("bytes", self.bytes),
            ("bytes a pair", round(self.bytes / self.pairs) if self.pairs else 0),
        ]


def count(folder: str | Path) -> DatasetCounts:
    """Count what is in a data set, one shard after the other."""
    found = DatasetCounts()
    for index in shards(folder):
        for image in index.images:
            found.images += 1
            found.sources.setdefault(image["source"], [0, 0, 0])[0] += 1
        for ending in ("parquet", "tar", "json"):
            path = shard_path(folder, index.number, ending)
            found.bytes += path.stat().st_size if path.is_file() else 0
        for record in read_records(shard_path(folder, index.number, "parquet"), check=False):
            found.add(record)
    return found


def verify(folder: str | Path, progress: Callable[[float, str], None] | None = None) -> list[str]:
    """Return what is wrong with a data set, one line each; an empty list if it is whole.

    Every file is held against its digest, every record against the schema, and ids against each other.
    """
    problems: list[str] = []
    found = shards(folder)
    seen: dict[bytes, int] = {}
    for place, index in enumerate(found):
        if progress is not None:
            progress(place / len(found), f"shard {index.number}")
        for ending, known in index.digests.items():
            path = shard_path(folder, index.number, ending)
            if not path.is_file():
                problems.append(f"{path}: missing")
            elif file_digest(path) != known:
                problems.append(
                    f"{path}: not the bytes that its index vouches for: cut off, damaged or changed"
                )
        rows = 0
        try:
            for record in read_records(shard_path(folder, index.number, "parquet")):
                rows += 1
                key = hashlib.blake2b(record["id"].encode("utf-8", "replace"), digest_size=12).digest()
                if key in seen:
                    problems.append(f"{record['id']!r} is in shard {seen[key]} and in shard {index.number}")
                seen[key] = index.number
        except (DatasetError, FileNotFoundError) as error:
            problems.append(str(error))
        else:
            if rows != index.records:
                problems.append(f"shard {index.number}: {rows} records, its index says {index.records}")
    numbers = {int(path.stem) for path in Path(folder).glob("*.parquet") if path.stem.isdigit()}
    lost = numbers - {index.number for index in found}
    problems += [f"{shard_path(folder, n, 'parquet')}: no index vouches for it" for n in sorted(lost)]
    return problems


def merge(folders: Sequence[str | Path], out: str | Path) -> int:
    """Make one data set of several; return how many records it has. A record that several have is taken once.

    Shards are numbered anew in the order of the folders.

    Raises:
        DatasetError: two different records of one id, or bodies of two kinds.
        OutputError: ``out`` is a data set already, or one of the folders.
    """
    return _write(out, ((index, folder, None) for folder in folders for index in shards(folder)))


def split(
    folder: str | Path, out: str | Path, shares: Mapping[str, float], *, by: By, seed: int = 0
) -> dict[str, int]:
    """Split a data set into several; return how many records each has.

    What belongs together stays together: all pairs of an image source, or all of an interaction. Pairs of one
    image are never torn apart either, where the source decides. Each group goes, in an order that the seed
    draws, to the part that lacks most of its share.

    Args:
        folder: the data set.
        out: a folder; each part is a data set in it, by its name.
        shares: name -> share, ``{"train": 0.8, "test": 0.2}``; they add up to 1.
        by: ``"source"`` or ``"interaction"``. Never by pair: neighbours would be on both sides.
        seed: of the order of the groups.

    Raises:
        ValueError: shares that do not add up to 1, or fewer groups than parts.
        DatasetError: not a data set.

    Example:
        Interactions of the test are none that were trained on::

            split("pairs", "parts", {"train": 0.8, "test": 0.2}, by="interaction")
    """
    if by not in ("source", "interaction"):
        raise ValueError(
            f"by must be 'source' or 'interaction', got {by!r}: pairs of one group belong together"
        )
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares must be above 0 and add up to 1, got {dict(shares)}")
    sizes: Counter[str] = Counter(record[by] for record in records(folder, check=False))
    if len(sizes) < len(shares):
        raise ValueError(
            f"{folder}: {len(sizes)} {by}s cannot fill {len(shares)} parts: no {by} is torn apart; "
            f"split by {'interaction' if by == 'source' else 'source'} or into fewer parts"
        )
    part_of = assign(sizes, shares, seed)
    done = {}
    for part in shares:
        chosen = {name for name, where in part_of.items() if where == part}
        done[part] = _write(
            Path(out) / part, ((index, folder, lambda r, c=chosen: r[by] in c) for index in shards(folder))
        )
    return done


def assign(sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return group -> part, so that parts come near their shares and none is empty."""
    total = sum(sizes.values())
    drawn = sorted(sizes, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    drawn.sort(key=lambda name: -sizes[name])  # large ones first: small ones fill the gaps
    missing = {part: share * total for part, share in shares.items()}
    empty = dict.fromkeys(shares)
    found = {}
    for left, name in zip(range(len(drawn), 0, -1), drawn, strict=True):
        open_parts = list(empty) if left <= len(empty) else list(missing)
        part = max(open_parts, key=lambda p: missing[p])
        found[name] = part
        missing[part] -= sizes[name]
        empty.pop(part, None)
    return found


def _write(out: str | Path, sources: Any) -> int:
    """Write the chosen records of shards as new shards; return how many there are."""
    total = number = 0
    seen: dict[str, str] = {}
    place = Path(out)
    if place.is_dir() and any(p.stem.isdigit() for p in place.glob("*.parquet")):
        raise OutputError(f"{out} holds a data set already: name another folder")
    sizes: dict[str, int] = {}
    with made_folder(place), exclusive(place):
        for index, folder, chosen in sources:
            rows = []
            for record in read_records(shard_path(folder, index.number, "parquet")):
                if chosen is not None and not chosen(record):
                    continue
                name = hashlib.sha256(repr(record).encode("utf-8", "replace")).hexdigest()
                if record["id"] in seen:
                    if seen[record["id"]] != name:
                        raise DatasetError(
                            f"{folder}: {record['id']!r} is another record than the one of that id "
                            f"before it: "
                            "were the same images fitted otherwise?"
                        )
                    continue
                seen[record["id"]] = name
                rows.append(record)
            images = index.images
            if chosen is not None:
                names = {record["image"]["name"] for record in rows}
                images = [image for image in images if image["name"] in names]
            if index.parameters and sizes and index.parameters != sizes and rows:
                raise DatasetError(f"{folder}: its bodies have other parameters than those before it")
            sizes = sizes or index.parameters
            if rows or images:
                made = ShardIndex(number, 0, index.parameters, {}, images, index.made_from, index.problems)
                write_shard(place, made, rows, pictures="tar" in index.digests)
                number, total = number + 1, total + len(rows)
    return total
