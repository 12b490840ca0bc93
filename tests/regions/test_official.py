"""The reader of contact_regions.json, on a file of the same form (the official one may not be shipped)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from apu_contacts.regions import RegionMap, official

FACES = np.random.default_rng(1).integers(0, 400, (900, 3))


@pytest.fixture
def content() -> dict[str, list]:
    """Twelve faces per region, in the official file's keys."""
    rows = [list(range(12 * rid, 12 * rid + 12)) for rid in range(75)]
    return {
        "rid_to_smplx_fids": rows,
        "rid_to_ghum_fids": [row[:3] for row in rows],
        "rid_to_color": [[0, 0, 0]] * 75,
    }


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "contact_regions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_vertices_are_the_corners_of_the_faces(tmp_path: Path, content: dict[str, list]) -> None:
    path = write(tmp_path, content)
    regions = RegionMap.from_contact_regions_json(path, FACES, 500, allow_modified=True)
    assert (regions.topology, regions.vertex_count) == ("smplx", 500)
    for rid in range(75):
        expected = {int(v) for face in FACES[12 * rid : 12 * rid + 12] for v in face}
        assert set(regions.vertices(rid).tolist()) == expected
    ghum = RegionMap.from_contact_regions_json(path, FACES, body="ghum", allow_modified=True)
    assert set(ghum.vertices(2).tolist()) == set(FACES[24:27].ravel().tolist())


def test_modified_file_is_refused_with_its_hash_and_recorded_when_allowed(
    tmp_path: Path, content: dict[str, list]
) -> None:
    path = write(tmp_path, content)
    blob = official.git_blob_sha1(path.read_bytes())
    with pytest.raises(ValueError, match=f"{blob}.*{official.OFFICIAL_BLOB}.*allow_modified"):
        RegionMap.from_contact_regions_json(path, FACES)
    regions = RegionMap.from_contact_regions_json(path, FACES, allow_modified=True)
    assert regions.approximate
    assert blob in regions.provenance and "modified" in regions.provenance


def test_official_file_is_accepted_and_not_approximate(
    tmp_path: Path, content: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, content)
    monkeypatch.setattr(official, "OFFICIAL_BLOB", official.git_blob_sha1(path.read_bytes()))
    with pytest.raises(ValueError, match="20908 triangles in their official order, got 900"):
        RegionMap.from_contact_regions_json(path, FACES)
    faces = np.random.default_rng(2).integers(0, 10475, (20908, 3))
    regions = RegionMap.from_contact_regions_json(path, faces, 10475)
    assert not regions.approximate and "official" in regions.provenance
    assert regions.vertices(74).tolist() == np.unique(faces[12 * 74 : 12 * 75]).tolist()


def test_hash_is_gits(tmp_path: Path) -> None:
    assert official.git_blob_sha1(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert official.git_blob_sha1(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    data = np.random.default_rng(3).bytes(10_000)
    (tmp_path / "file").write_bytes(data)
    command = ["git", "hash-object", "--no-filters", str(tmp_path / "file")]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == official.git_blob_sha1(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("rid_to_smplx_fids"), "'rid_to_smplx_fids' is missing, found .*ghum"),
        (lambda c: c["rid_to_smplx_fids"].pop(), "75 lists of face ids, one per region, got 74"),
        (lambda c: c.update(rid_to_smplx_fids={"75": [1]}), r"outside 0 to 74: \['75'\]"),
        (lambda c: c.update(rid_to_smplx_fids=3), "75 lists of face ids, one per region, got int"),
        (lambda c: c["rid_to_smplx_fids"].__setitem__(4, []), "region 4 has no faces"),
        (lambda c: c["rid_to_smplx_fids"][4].append(900), "region 4 has face id 900, but faces has 900 rows"),
        (lambda c: c["rid_to_smplx_fids"][4].append(-1), "region 4 has face id -1"),
        (lambda c: c["rid_to_smplx_fids"][4].append(1.5), "region 4 must be a list of whole face ids"),
        (lambda c: c["rid_to_smplx_fids"].__setitem__(4, "abc"), "region 4 must be a list of whole face ids"),
    ],
)
def test_bad_content_is_refused_by_name(
    tmp_path: Path, content: dict[str, list], change, message: str
) -> None:  # type: ignore[no-untyped-def]  # any callable
    change(content)
    with pytest.raises(ValueError, match=message):
        RegionMap.from_contact_regions_json(write(tmp_path, content), FACES, allow_modified=True)


def test_dictionary_by_region_id_is_read(tmp_path: Path, content: dict[str, list]) -> None:
    as_rows = RegionMap.from_contact_regions_json(write(tmp_path, content), FACES, allow_modified=True)
    by_id = {
        **content,
        "rid_to_smplx_fids": {str(r): row for r, row in enumerate(content["rid_to_smplx_fids"])},
    }
    assert RegionMap.from_contact_regions_json(write(tmp_path, by_id), FACES, allow_modified=True) == as_rows


def test_bad_arguments_are_refused(tmp_path: Path, content: dict[str, list]) -> None:
    path = write(tmp_path, content)
    with pytest.raises(FileNotFoundError, match="imar_vision_datasets_tools"):
        RegionMap.from_contact_regions_json(tmp_path / "none.json", FACES)
    with pytest.raises(ValueError, match="body must be one of smplx, ghum"):
        RegionMap.from_contact_regions_json(path, FACES, body="smpl")
    with pytest.raises(ValueError, match=r"faces must be whole numbers of shape \(F, 3\)"):
        RegionMap.from_contact_regions_json(path, FACES.astype(float), allow_modified=True)
    with pytest.raises(ValueError, match="is vertex_count right"):
        RegionMap.from_contact_regions_json(path, FACES, 300, allow_modified=True)
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        RegionMap.from_contact_regions_json(path, FACES, allow_modified=True)
