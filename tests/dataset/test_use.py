"""What is done with a data set: training on it, exporting, auditing, describing it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pair_records import record, write_set
from PIL import Image
from torch.utils.data import DataLoader

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")

from apu_losses import collate_contacts
from apu_losses.dataset import (
    PairDataset,
    PairStream,
    ShardIndex,
    audit,
    duplicates,
    export,
    write_cards,
    write_shard,
)
from apu_losses.dataset.picture_hash import distance, hash_of


def ids(samples: object) -> list[str]:
    return [name for batch in samples for name in batch["id"]]  # type: ignore[attr-defined]


def test_pairs_by_index_are_those_that_were_kept(tmp_path: Path) -> None:
    rows = write_set(tmp_path, range(10))
    kept = [r for r in rows if r["verdict"]["kept"]]
    pairs = PairDataset(tmp_path)
    assert len(pairs) == len(kept) and pairs.record(3) == kept[3]
    assert len(PairDataset(tmp_path, kept_only=False)) == 10
    loader = DataLoader(pairs, 4, collate_fn=collate_contacts, num_workers=1)
    batches = list(loader)
    assert ids(batches) == [r["id"] for r in kept]
    assert batches[0]["parameters"]["body_pose"].shape == (4, 2, 63)
    assert batches[0]["parameters"]["transl"][1, 0].tolist() == kept[1]["person_a"]["parameters"]["transl"]


def test_a_stream_gives_each_pair_once_over_ranks_and_workers(tmp_path: Path) -> None:
    rows = write_set(tmp_path, range(24), per_shard=3)
    seen = []
    for rank in range(3):
        stream = PairStream(tmp_path, rank=rank, world_size=3, kept_only=False, seed=5)
        seen += ids(DataLoader(stream, 2, collate_fn=collate_contacts, num_workers=2))
    assert sorted(seen) == [r["id"] for r in rows] and seen != sorted(seen)
    with pytest.raises(ValueError, match="cannot be dealt out"):
        PairStream(tmp_path, rank=0, world_size=9)


def test_a_stream_that_is_gone_on_with_gives_the_rest(tmp_path: Path) -> None:
    write_set(tmp_path, range(12), per_shard=3)
    stream = PairStream(tmp_path, kept_only=False)
    whole = [s["id"] for s in stream]
    assert [s["id"] for s in stream] == whole  # the same epoch is the same order
    walk = iter(stream)
    first = [next(walk)["id"] for _ in range(5)]
    state = json.loads(json.dumps(stream.state_dict()))
    other = PairStream(tmp_path, kept_only=False)
    other.load_state_dict(state)
    assert first + [s["id"] for s in other] == whole
    stream.set_epoch(1)
    assert sorted(s["id"] for s in stream) == sorted(whole) != whole
    assert [s["id"] for s in stream] != whole


def test_smplx_files_hold_the_parameters(tmp_path: Path) -> None:
    rows = [r for r in write_set(tmp_path / "set", range(5)) if r["verdict"]["kept"]]
    assert export(tmp_path / "set", tmp_path / "out", "smplx") == 2 * len(rows)
    with np.load(tmp_path / "out" / f"{rows[0]['id'].replace(':', '_')}_1.npz") as found:
        assert found["body_pose"].shape == (1, 63) and float(found["focal"]) == 554.25
        assert found["transl"][0].tolist() == rows[0]["person_b"]["parameters"]["transl"]


def test_smpl_files_are_read_by_the_codec(tmp_path: Path) -> None:
    codec = pytest.importorskip("smplcodec", reason="not installed")
    rows = [r for r in write_set(tmp_path / "set", range(3)) if r["verdict"]["kept"]]
    export(tmp_path / "set", tmp_path / "out", "smpl")
    body = codec.SMPLCodec.from_file(tmp_path / "out" / f"{rows[0]['id'].replace(':', '_')}_0.smpl")
    given = rows[0]["person_a"]["parameters"]
    assert (
        body.body_translation.tolist() == [given["transl"]]
        and body.body_pose[0, 0].tolist() == given["global_orient"]
    )
    assert body.left_hand_pose.ravel().tolist() == given["left_hand_pose"]


def test_coco_people_stand_there_once(tmp_path: Path) -> None:
    first, second = record(1), record(2)
    second |= {"id": "image-001:0-2", "image": first["image"], "person_a": first["person_a"]}
    second["scene"] |= {"person_b": 2}
    write_shard(tmp_path / "set", ShardIndex(0), [first, second])
    assert export(tmp_path / "set", tmp_path / "out", "coco", kept_only=False) == 3
    document = json.loads((tmp_path / "out/keypoints.json").read_text())
    assert len(document["images"]) == 1 and len(document["annotations"]) == 3
    one = document["annotations"][0]
    assert [len(one[k]) for k in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts")] == [
        51,
        18,
        204,
        63,
    ]
    wanted = np.round(first["person_a"]["keypoints"]["xy"][5], 3)
    assert np.allclose(one["keypoints"][15:17], wanted) and one["num_keypoints"] == 17
    assert one["bbox"] == [10.0, 20.0, 190.0, 380.0]


def test_an_audit_finds_what_was_put_in_whatever_the_form(tmp_path: Path) -> None:
    rows = [record(number) for number in (1, 2, 4, 5)]
    rows[1]["person_a"]["parameters"]["betas"][3] = 7.5
    rows[2]["person_b"]["parameters"]["transl"][2] = -1.0
    for name in ("person_a", "person_b"):
        rows[3][name]["parameters"]["body_pose"] = rows[0][name]["parameters"]["body_pose"]
    rows[3]["image"]["phash"] = rows[0]["image"]["phash"]
    write_shard(tmp_path / "set", ShardIndex(0), rows)
    found = audit(tmp_path / "set")
    assert found.kind == "records" and found.pairs == 4
    assert found.broken["image-002:0-1"] == ["shape"]
    assert set(found.broken["image-004:0-1"]) == {"depth", "apart"}
    assert found.broken["image-005:0-1"] == ["copied body", "copied picture of image-001"]
    assert "image-001:0-1" not in found.broken and found.rules["shape"] == (5.0, 4, 1)
    for form in ("smplx", "buddi"):
        export(tmp_path / "set", tmp_path / form, form, kept_only=False)
        other = audit(tmp_path / form)
        assert (other.kind, other.pairs) == (form, 4)
        against = {rule: counts[2] for rule, counts in other.rules.items()}
        assert against == {"age": 0, "apart": 1, "copied body": 1, "depth": 1, "shape": 1}
    (tmp_path / "buddi" / "broken.npz").write_bytes(b"PK no")
    assert len(audit(tmp_path / "buddi").problems) == 1


def test_copies_of_a_picture_are_found_and_others_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hashes = {}
    for number in range(12):
        blocks = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
        picture = Image.fromarray(blocks).resize((320, 240), Image.Resampling.BICUBIC)
        hashes[f"{number:02d}"] = hash_of(np.asarray(picture))
        picture.resize((160, 120)).save(tmp_path / "copy.jpg", quality=30)
        hashes[f"{number:02d} copy"] = hash_of(np.asarray(Image.open(tmp_path / "copy.jpg")))
    assert duplicates(hashes) == {f"{n:02d} copy": f"{n:02d}" for n in range(12)}
    originals = [hashes[f"{n:02d}"] for n in range(12)]
    assert min(distance(a, b) for i, a in enumerate(originals) for b in originals[:i]) > 12


@pytest.mark.parametrize("near", [0, 3, 6])
def test_duplicates_are_those_of_comparing_all_with_all(near: int) -> None:
    rng = np.random.default_rng(near)
    base = [int(rng.integers(0, 2**63)) for _ in range(20)]
    values = [
        b ^ sum(1 << int(bit) for bit in rng.choice(63, rng.integers(0, 9), replace=False)) for b in base * 4
    ]
    hashes = {f"{n:03d}": f"{v:016x}" for n, v in enumerate(values)}
    wanted: dict[str, str] = {}
    for name in hashes:
        first = [
            o for o in hashes if o < name and o not in wanted and distance(hashes[o], hashes[name]) <= near
        ]
        if first:
            wanted[name] = first[0]
    assert duplicates(hashes, near) == wanted


def test_the_cards_say_what_is_there_and_keep_what_a_person_wrote(tmp_path: Path) -> None:
    rows = write_set(tmp_path, range(8))
    write_cards(tmp_path)
    card, sheet = ((tmp_path / name).read_text() for name in ("README.md", "datasheet.md"))
    kept = sum(r["verdict"]["kept"] for r in rows)
    assert card.startswith("---\n") and f"| photos | 8 | 8 | {kept} |" in card and "m-1" in card
    told = [r for r in rows if r["verdict"]["kept"] and r["evidence"]["attributes"]]
    assert f"age_group: child {len(told)}; build: slim {len(told)}" in card and "child" in sheet
    assert sheet.count("to be filled in by a person") >= 8 and f"{kept} pairs that were kept" in sheet
    (tmp_path / "datasheet.md").write_text("Made by us for a course.\n\n" + sheet)
    write_cards(tmp_path)
    again = (tmp_path / "datasheet.md").read_text()
    assert again == "Made by us for a course.\n\n" + sheet
    assert (tmp_path / "README.md").read_text() == card


def test_entropy_and_principal_components_are_those_of_closed_forms() -> None:
    from apu_losses.dataset.diversity import entropy, principal

    assert entropy([1] * 8) == 3.0 and entropy([4]) == 0.0 and entropy([3, 1]) == pytest.approx(0.8112781)
    points = np.random.default_rng(0).normal(0, [5.0, 2.0, 0.1], (200, 3))
    found, shares = principal(points)
    values = np.sort(np.linalg.eigvalsh(np.cov(points.T)))[::-1]
    assert np.allclose(found.var(0, ddof=1), values[:2]) and np.allclose(shares, values[:2] / values.sum())


def test_sets_are_compared_with_weights_that_lie_in_their_package(tmp_path: Path) -> None:
    pytest.importorskip("wordllama", reason="the extra [diversity]")
    from apu_losses.dataset.diversity import compare, figure, interactions_of

    (tmp_path / "lab.txt").write_text("hug\t10\nhandshake\t10\n")
    lab = interactions_of(tmp_path / "lab.txt")
    found = compare({"lab": lab, "ours": {"hugging": 5, "rowing": 2, "arm in arm": 3}})
    assert "wordllama" in found.encoder and found.sets["lab"].entropy[0] == 1.0
    assert found.sets["ours"].coverage[0] > found.sets["lab"].coverage[0]  # two of the five cover three
    assert found.sets["ours"].nearest[0] > 0.3
    figure(tmp_path / "f.svg", found)
    text = (tmp_path / "f.svg").read_text()
    assert text.count("<circle") == 5 + 2 and "rowing" in text
