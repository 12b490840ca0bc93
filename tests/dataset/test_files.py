"""Records and shards: what is written is read back as it was, and what is damaged is found."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
from pair_records import SIZES, record, write_set

from apu_contacts.answers.attributes import Judgement, PairAttributes, PersonAttributes
from apu_losses.dataset import (
    SCHEMA_VERSION,
    DatasetError,
    PairDataset,
    ShardIndex,
    check_record,
    contact_map,
    count,
    evidence_of,
    merge,
    migrated,
    read_records,
    records,
    split,
    verify,
    write_cards,
    write_shard,
)
from apu_losses.dataset.folder import assign, shards
from apu_losses.dataset.record import MIGRATIONS, attributes_entry, stated_attributes_entry

pa = pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")
pytest.importorskip("pyarrow.parquet")


def test_a_record_comes_back_to_the_bit(tmp_path: Path) -> None:
    rows = [record(number) for number in range(5)]
    index = write_shard(tmp_path, ShardIndex(3), rows)
    assert list(read_records(tmp_path / "000003.parquet")) == rows
    assert (index.records, index.parameters) == (5, SIZES)
    assert contact_map(rows[1]).pairs.tolist() == [[3, 10], [3, 13]] and len(contact_map(rows[0])) == 0


def test_the_same_records_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [record(number) for number in range(6)]
    write_shard(tmp_path, ShardIndex(0), rows, pictures=True)
    random.Random(1).shuffle(rows)
    write_shard(tmp_path, ShardIndex(1), rows)
    assert (tmp_path / "000000.parquet").read_bytes() == (tmp_path / "000001.parquet").read_bytes()


def test_what_was_not_fitted_and_nothing_at_all_are_written_too(tmp_path: Path) -> None:
    row = record(1)
    for name in ("person_a", "person_b"):
        row[name] |= {"parameters": None, "start": None}
    row |= {"before": None, "after": None}
    assert write_shard(tmp_path, ShardIndex(0), [row]).parameters == {}
    assert list(read_records(tmp_path / "000000.parquet")) == [row]
    write_shard(tmp_path, ShardIndex(1), [])
    assert list(read_records(tmp_path / "000001.parquet")) == [] and verify(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("camera"), "'camera' is a required property"),
        (lambda r: r["person_a"].update(box=[1.0, 2.0]), "person_a.box"),
        (lambda r: r["person_b"]["parameters"].update(transl=[0.0, float("nan"), 1.0]), "not finite"),
        (lambda r: r["camera"].update(focal=float("inf")), "camera.focal"),
        (lambda r: r["person_a"]["keypoints"]["xy"].pop(), "one a point"),
        (lambda r: r["evidence"].update(status="perhaps"), "evidence.status"),
        (lambda r: r["contacts"].append({"part_a": "hand"}), "contacts[1]"),
        (lambda r: r.update(more=1), "more"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(change, said: str, tmp_path: Path) -> None:
    row = copy.deepcopy(record(1))
    change(row)
    with pytest.raises(DatasetError, match="image-001") as error:
        write_shard(tmp_path, ShardIndex(0), [row])
    assert said in str(error.value) and not list(tmp_path.iterdir())


def test_the_fast_way_over_numbers_says_what_jsonschema_says() -> None:
    from jsonschema import Draft202012Validator

    from apu_losses.dataset.record import record_schema

    slow = Draft202012Validator(record_schema())
    for number in range(4):
        row = record(number)
        assert slow.is_valid(row) and check_record(row) is row
        row["person_a"]["keypoints"]["confidence"][3] = "0.5"
        assert not slow.is_valid(row)
        with pytest.raises(DatasetError):
            check_record(row)


def test_older_versions_are_migrated_and_newer_ones_refused() -> None:
    old = {"schema_version": SCHEMA_VERSION - 2, "name": "x"}
    steps = {
        SCHEMA_VERSION - 2: lambda r: {**r, "id": r["name"]},
        SCHEMA_VERSION - 1: lambda r: {k: v for k, v in r.items() if k != "name"},
    }
    assert migrated(old, migrations=steps) == {"schema_version": SCHEMA_VERSION, "id": "x"}
    with pytest.raises(DatasetError, match="newer version"):
        migrated({"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(DatasetError, match="is it a record"):
        migrated({})


def test_every_version_has_a_way_to_this_one() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_a_set_of_the_first_version_is_read_used_and_written_anew(tmp_path: Path) -> None:
    """The files were written by the program whose records had version 1."""
    old = Path(__file__).parent / "version_1"
    raw = pa.parquet.read_table(old / "000000.parquet").to_pylist()[0]
    assert raw["schema_version"] == 1 and "age_group" not in raw["person_a"]
    assert verify(old) == []
    (found,) = records(old)
    assert found["schema_version"] == SCHEMA_VERSION
    for name in ("person_a", "person_b"):
        assert (found[name].pop("age_group"), found[name].pop("stature")) == ("", None)
    assert found["evidence"].pop("attributes") is None
    assert found["answers"][0]["reading"].pop("attributes") is None
    assert {**found, "schema_version": 1} == raw  # all else is as it was
    assert PairDataset(old)[0]["parameters"]["transl"].shape == (2, 3) and count(old).pairs == 1
    assert merge([old], tmp_path / "new") == 1
    assert pa.parquet.read_table(tmp_path / "new/000000.parquet")["schema_version"].to_pylist() == [2]


def test_what_was_said_of_the_people_comes_back(tmp_path: Path) -> None:
    said = PairAttributes(
        a=PersonAttributes(age_group=Judgement("child", 0.75), sex=Judgement("female", 0.25)),
        b=PersonAttributes(build=Judgement("heavy", 1.0)),
        taller=Judgement("b", 0.5),
        in_front=Judgement("same", 0.125),
    )
    rows = [record(number) for number in range(4)]
    for row, told in zip(rows, (said, None, PairAttributes(), said.transposed()), strict=True):
        row["evidence"]["attributes"] = attributes_entry(told)
        if row["answers"][0]["reading"] is not None:
            row["answers"][0]["reading"]["attributes"] = stated_attributes_entry(told)
    rows[1]["person_a"] |= {"age_group": "infant", "stature": 0.75}
    write_shard(tmp_path, ShardIndex(0), rows)
    back = list(read_records(tmp_path / "000000.parquet"))
    assert back == rows
    assert [evidence_of(row).attributes for row in back] == [said, None, PairAttributes(), said.transposed()]
    stated = back[0]["answers"][0]["reading"]["attributes"]
    assert stated["person_left"]["age_group"] == {"value": "child", "confidence": 0.75}
    assert stated["taller"]["value"] == "person_right" and stated["in_front"]["value"] == "same"
    assert (back[1]["person_a"]["age_group"], back[1]["person_a"]["stature"]) == ("infant", 0.75)
    rows[0]["evidence"]["attributes"]["a"]["age_group"]["value"] = "old"
    with pytest.raises(DatasetError, match=r"evidence\.attributes"):
        check_record(rows[0])


def test_other_tools_read_the_arrays(tmp_path: Path) -> None:
    rows = write_set(tmp_path, range(8))
    file = tmp_path / "000000.parquet"
    table = pa.parquet.read_table(file)
    kind = table.schema.field("person_a").type.field("parameters").type.field("body_pose").type
    assert kind == pa.list_(pa.float32(), 63)
    wanted = [r["person_b"]["parameters"]["transl"] for r in rows[:4]]
    assert table["person_b"].combine_chunks().field("parameters").field("transl").to_pylist() == wanted


def test_pandas_reads_them(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="not installed")
    rows = write_set(tmp_path, range(4))
    frame = pandas.read_parquet(tmp_path / "000000.parquet")
    assert (
        frame.loc[2, "person_a"]["parameters"]["betas"].tolist() == rows[2]["person_a"]["parameters"]["betas"]
    )


def test_duckdb_reads_them(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="not installed")
    rows = write_set(tmp_path, range(8))
    said = "select id, person_a.parameters.transl[3], len(person_a.parameters.body_pose), verdict.kept "
    found = duckdb.sql(f"{said} from '{tmp_path}/*.parquet' order by id").fetchall()
    assert found == [(r["id"], 3.0, 63, r["verdict"]["kept"]) for r in rows]


def test_polars_reads_them(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="not installed")
    rows = write_set(tmp_path, range(8))
    frame = polars.scan_parquet(tmp_path / "*.parquet").sort("id")
    body = polars.col("person_a").struct.field("parameters").struct.field("body_pose").alias("pose")
    said = polars.col("evidence").struct.field("attributes").struct.field("a").struct.field("age_group")
    found = frame.select("id", body, said.struct.field("value").alias("group")).collect()
    assert found["id"].to_list() == [r["id"] for r in rows]
    assert found.schema["pose"] == polars.Array(polars.Float32, 63)
    assert found["pose"].to_list() == [r["person_a"]["parameters"]["body_pose"] for r in rows]
    assert found["group"].to_list() == [None, "child"] * 4


def test_datasets_of_hugging_face_reads_them_by_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    rows = write_set(tmp_path / "pairs", range(8))
    write_cards(tmp_path / "pairs")
    where = {"path": str(tmp_path / "pairs"), "name": "pairs", "cache_dir": str(tmp_path / "cache")}
    found = datasets.load_dataset(**where, split="train")
    assert list(found) == rows  # whole records, arrays and nulls among them
    stream = datasets.load_dataset(**where, split="train", streaming=True)
    assert [r["id"] for r in stream] == [r["id"] for r in rows]


def test_webdataset_reads_the_tar(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="not installed")
    from PIL import Image

    Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / "a.b.png")
    rows = [record(1, image=str(tmp_path / "a.b.png")), record(2)]
    write_shard(tmp_path / "set", ShardIndex(12), rows, pictures=True)
    samples = list(webdataset.WebDataset(str(tmp_path / "set/000012.tar"), shardshuffle=False))
    assert [s["__key__"] for s in samples] == ["000012_00000", "000012_00001"]
    assert samples[0]["png"] == (tmp_path / "a.b.png").read_bytes()
    assert [json.loads(s["json"]) for s in samples] == rows


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    write_set(tmp_path, range(8))
    assert verify(tmp_path) == []
    whole = (tmp_path / "000001.parquet").read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "000001.parquet").write_bytes(whole[:cut])
        problems = verify(tmp_path)
        assert problems and all("000001.parquet" in p for p in problems)
        with pytest.raises(DatasetError, match="not a whole Parquet file"):
            list(records(tmp_path))
    (tmp_path / "000001.parquet").unlink()
    assert any("missing" in p for p in verify(tmp_path))
    (tmp_path / "000001.parquet").write_bytes(whole)
    (tmp_path / "000001.json").unlink()
    assert verify(tmp_path) == [f"{tmp_path / '000001.parquet'}: no index vouches for it"]
    write_shard(tmp_path, ShardIndex(1), [record(0)])
    assert any("is in shard 0 and in shard 1" in p for p in verify(tmp_path))


def test_merging_takes_what_several_have_once_and_refuses_two_truths(tmp_path: Path) -> None:
    first, second = write_set(tmp_path / "a", range(6)), write_set(tmp_path / "b", range(4, 9))
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c") == 9
    found = list(records(tmp_path / "c"))
    assert sorted(r["id"] for r in found) == sorted({r["id"] for r in first + second}) and not verify(
        tmp_path / "c"
    )
    write_set(tmp_path / "d", [5], source="elsewhere")
    with pytest.raises(DatasetError, match="another record"):
        merge([tmp_path / "a", tmp_path / "d"], tmp_path / "e")
    with pytest.raises(OSError, match="holds a data set already"):
        merge([tmp_path / "a"], tmp_path / "c")


def test_a_split_tears_no_group_apart(tmp_path: Path) -> None:
    write_set(tmp_path / "a", range(12))
    done = split(tmp_path / "a", tmp_path / "parts", {"train": 0.7, "test": 0.3}, by="interaction")
    assert sum(done.values()) == 12 and min(done.values()) > 0
    named = [{r["interaction"] for r in records(tmp_path / "parts" / part)} for part in done]
    assert named[0] | named[1] == {"hug", "handshake", "high five"} and not named[0] & named[1]
    with pytest.raises(ValueError, match="cannot fill 2 parts"):
        split(tmp_path / "a", tmp_path / "no", {"train": 0.5, "test": 0.5}, by="source")
    with pytest.raises(ValueError, match="add up to 1"):
        split(tmp_path / "a", tmp_path / "no", {"train": 0.5}, by="source")


def test_parts_come_near_their_shares() -> None:
    sizes = {f"group {n}": int(c) for n, c in enumerate(np.random.default_rng(0).integers(1, 100, 40))}
    found = assign(sizes, {"a": 0.8, "b": 0.1, "c": 0.1}, seed=3)
    total = {p: sum(sizes[g] for g, where in found.items() if where == p) for p in "abc"}
    assert all(
        abs(total[p] / sum(sizes.values()) - s) < 0.02 for p, s in (("a", 0.8), ("b", 0.1), ("c", 0.1))
    )
    assert assign(sizes, {"a": 0.5, "b": 0.5}, 1) != assign(sizes, {"a": 0.5, "b": 0.5}, 2)


def test_counts_are_those_of_the_records(tmp_path: Path) -> None:
    rows = write_set(tmp_path, range(8))
    found = count(tmp_path)
    kept = [r for r in rows if r["verdict"]["kept"]]
    assert (found.images, found.pairs, found.kept) == (8, 8, len(kept))
    assert found.sources == {"photos": [8, 8, len(kept)]} and sum(found.interactions.values()) == len(kept)
    assert [s.number for s in shards(tmp_path)] == [0, 1]
