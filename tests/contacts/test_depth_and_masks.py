"""Depth maps and masks of people: files of other tools, what a keypoint sees, who hides whom."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from apu_contacts import (
    Camera,
    DepthMap,
    Keypoints2D,
    PersonMask,
    depths_at,
    masks_of_people,
    order_by_masks,
    read_depth_map,
    read_masks,
)
from apu_contacts.sources import SourceFormatError, SourceMissingError, read_mask

METRES = np.array([[2.0, 2.5, 3.0], [4.0, 0.0, np.inf]])


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def test_depth_maps_as_tools_save_them(tmp_path: Path) -> None:
    known = np.array([[2.0, 2.5, 3.0], [4.0, np.nan, np.nan]])
    np.save(tmp_path / "plain.npy", METRES[None, None].astype(np.float16))
    Image.fromarray((1000 * np.nan_to_num(METRES, posinf=0)).astype(np.uint16)).save(tmp_path / "mm.png")
    normalised = np.array([[0.9, 0, 0.5], [0, 1.35, 0.5], [0, 0, 1]])
    pixels = np.array([[3.0, 0, 3.0], [0, 3.0, 3.0], [0, 0, 1]])
    files = {
        tmp_path / "plain.npy": None,
        tmp_path / "mm.png": None,
        save(tmp_path / "unidepth.npz", depth=METRES, K=pixels): (3.0, 3.0, 3.0),
        save(tmp_path / "moge.npz", depth=METRES, intrinsics=normalised): (2.7, 1.5, 1.0),
        save(tmp_path / "depth_pro.npz", depth=METRES, focallength_px=np.float32(3.5)): (3.5, 1.5, 1.0),
        save(tmp_path / "field.npz", metric_depth=METRES, fov_x=90.0): (1.5, 1.5, 1.0),
    }
    for path, camera in files.items():
        found = read_depth_map(path)
        np.testing.assert_allclose(found.depth, known, rtol=1e-3)
        if camera is None:
            assert found.camera is None
        else:
            assert found.camera is not None
            assert (found.camera.focal, *found.camera.center) == pytest.approx(camera)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: np.save(p, np.zeros((4, 4))), "known nowhere"),
        (lambda p: np.save(p, np.full((4, 4), 2500.0)), "are these millimetres"),
        (lambda p: np.save(p, np.ones((3, 4, 4))), "one picture a file"),
        (lambda p: np.save(p, np.array([["a"]])), "must be numbers"),
        (lambda p: p.write_bytes(b"no array"), ""),
    ],
)
def test_what_is_no_depth_map_is_said(make, said: str, tmp_path: Path) -> None:
    path = tmp_path / "depth.npy"
    make(path)
    with pytest.raises(SourceFormatError, match=r"depth\.npy") as error:
        read_depth_map(path)
    assert said in str(error.value)


def test_an_8_bit_picture_is_a_view_and_a_missing_file_is_missing(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "view.png")
    with pytest.raises(SourceFormatError, match="16 bits"):
        read_depth_map(tmp_path / "view.png")
    with pytest.raises(SourceMissingError):
        read_depth_map(tmp_path / "none.npz")


def test_a_keypoint_sees_the_surface_of_its_person() -> None:
    """A wall at 3 m, somebody at 2 m in the left third; a joint at the edge sees both without a mask."""
    depth = np.full((90, 120), 3.0)
    depth[:, :40] = 2.0
    person = np.zeros((180, 240))
    person[:, :80] = 1
    xy = np.array([[40.0, 100], [81.0, 100], [200, 100], [-5, 100], [40, 100]])
    confidence = np.array([1.0, 1, 1, 1, 0])
    seen = Keypoints2D("coco17", np.resize(xy, (17, 2)), np.resize(confidence, 17))
    found = depths_at(DepthMap(depth), seen, 240, 180)[:5]
    np.testing.assert_array_equal(found, [2.0, 3.0, 3.0, np.nan, np.nan])
    masked = depths_at(DepthMap(depth), seen, 240, 180, PersonMask.from_array(person))[:5]
    np.testing.assert_array_equal(masked, [2.0, 2.0, np.nan, np.nan, np.nan])
    with pytest.raises(SourceFormatError, match="proportions"):
        depths_at(DepthMap(depth), seen, 100, 200)


def test_a_camera_follows_the_size() -> None:
    depth = DepthMap(np.ones((60, 80)), Camera(70.0, (40.0, 30.0)))
    assert depth.camera_of(160, 120) == Camera(140.0, (80.0, 60.0))
    assert DepthMap(np.ones((60, 80))).camera_of(160, 120) is None


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_are_those_of_coco(mask: np.ndarray) -> None:
    """The plain counts by their definition, column by column; text and back."""
    made = PersonMask.from_array(mask)
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    assert made.counts.tolist() == runs and made.area == mask.sum()
    np.testing.assert_array_equal(made.to_array(), mask)
    again = PersonMask.from_coco(made.to_coco())
    np.testing.assert_array_equal(again.counts, made.counts)
    listed = PersonMask.from_coco({"size": list(mask.shape), "counts": runs})
    np.testing.assert_array_equal(listed.to_array(), mask)


def test_text_of_a_known_mask() -> None:
    """COCO's own encoding, written out by hand: five bits a character from 48 on, bit 32 goes on, signed."""
    counts = [6, 1, 40, 4, 5, 4, 5, 4, 21]
    mask = PersonMask(9, 10, np.array(counts))
    assert mask.to_coco() == {"size": [9, 10], "counts": "61X13mN000`0"}
    assert PersonMask.from_coco({"size": [9, 10], "counts": "61X13mN000`0"}).counts.tolist() == counts


def test_masks_of_files(tmp_path: Path) -> None:
    one, two = np.zeros((2, 6, 8), bool)
    one[1:3, 1:4], two[2:, 5:] = True, True
    Image.fromarray((255 * one).astype(np.uint8)).save(tmp_path / "one.png")
    np.save(tmp_path / "both.npy", np.stack([one, two]))
    document = [{"segmentation": PersonMask.from_array(m).to_coco(), "area": 1} for m in (one, two)]
    (tmp_path / "sam.json").write_text(json.dumps(document))
    np.testing.assert_array_equal(read_mask(tmp_path / "one.png").to_array(), one)
    for name in ("both.npy", "sam.json"):
        for found, mask in zip(read_masks(tmp_path / name), (one, two), strict=True):
            np.testing.assert_array_equal(found.to_array(), mask)
    with pytest.raises(SourceFormatError, match=r"both\.npy.*one person, found 2"):
        read_mask(tmp_path / "both.npy")
    for text in ('{"size": [2, 2], "counts": "~"}', '{"size": [2, 2], "counts": [1, 1]}', "[[1, 2, 3, 4]]"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SourceFormatError, match=r"bad\.json"):
            read_masks(tmp_path / "bad.json")
    with pytest.raises(SourceMissingError):
        read_masks(tmp_path / "none.png")


def two_people() -> tuple[list[PersonMask], list[Keypoints2D]]:
    """A wide person behind a narrow one, in 100 x 100 pixels."""
    near, far = np.zeros((2, 100, 100), bool)
    near[:, 40:60] = True
    far[20:80, 10:90] = True
    far &= ~near
    wide = np.stack([np.linspace(15, 85, 17), np.full(17, 50.0)], 1)
    narrow = np.stack([np.full(17, 50.0), np.linspace(5, 95, 17)], 1)
    people = [Keypoints2D("coco17", xy, np.full(17, 0.9)) for xy in (wide, narrow)]
    return [PersonMask.from_array(near), PersonMask.from_array(far)], people


def test_masks_go_to_people_and_say_who_is_nearer() -> None:
    masks, people = two_people()
    own = masks_of_people(masks, people, 100, 100)
    assert own[0] is masks[1] and own[1] is masks[0]
    assert masks_of_people(masks[:1], people, 100, 100) == [None, masks[0]]
    assert order_by_masks(own, people, 100, 100) == [(1, 0)]
    assert order_by_masks([None, own[1]], people, 100, 100) == []
    assert order_by_masks(own, people, 100, 100, surplus=9) == []
    assert masks_of_people([], people, 100, 100) == [None, None]
