"""From files of detections to scenes: starts in another camera or body, every reason counted, JSON lines."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from apu_contacts.detect import DetectedPeople, detect_pictures, find_pictures
from apu_contacts.images import picture_size
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources import Camera, InitialEstimate, PersonDetection, write_openpose
from apu_contacts.sources.conventions import MEAN_PELVIS
from apu_contacts.sources.names import SMPLX_OUTPUT_JOINTS
from apu_losses.app import cli
from apu_losses.bodies import load_body
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting import (
    ProposalReport,
    find_images,
    initial_parameters,
    posed_estimate,
    propose_scenes,
    read_scene_lines,
    scene_from_detections,
    write_scene_lines,
)
from apu_losses.fitting.propose.scenes import read_people
from apu_losses.fitting.scene.file import SceneFileError

WIDTH, HEIGHT = 800, 600
UPRIGHT = np.array([np.pi, 0.0, 0.0])


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("free")


def people_in_camera(
    body: BodyModel, camera: Camera, places: list[tuple[float, float, float]]
) -> list[dict[str, Any]]:
    """Posed free bodies: parameters, named joints in the camera frame and their pixels."""
    generator = np.random.default_rng(2)
    out = []
    for place in places:
        pose = generator.normal(0, 0.15, 63)
        params = {
            "global_orient": torch.tensor(UPRIGHT[None], dtype=torch.float32),
            "body_pose": torch.tensor(pose[None], dtype=torch.float32),
            "transl": torch.tensor([place], dtype=torch.float32),
        }
        posed = body.pose(params)
        points = body.keypoints(posed, "body25")[0].double().numpy()
        points[8] = posed.joints[0, 0].numpy()  # the pelvis, as SMPL-like estimators fill this slot
        out.append(
            {
                "global_orient": UPRIGHT,
                "body_pose": pose,
                "transl": np.array(place),
                "joints": posed.joints[0].double().numpy(),
                "points": points,
                "mask": body.keypoint_mask("body25").numpy(),
                "pixels": camera.project(points),
            }
        )
    return out


def keypoints_of(person: dict[str, Any]) -> Keypoints2D:
    return Keypoints2D("body25", person["pixels"], np.where(person["mask"], 0.9, 0.0))


def write_hmr2(path: Path, people: list[dict[str, Any]]) -> None:
    """HMR2's dictionary, in its own long camera: the same people, further away."""
    focal = 5000 / 256 * WIDTH
    short = Camera.from_image_size(WIDTH, HEIGHT)
    translation, joints = [], []
    for person in people:
        names = tuple("pelvis" if n == "mid_hip" else n for n in SKELETONS["body25"].joint_names)
        estimate = InitialEstimate("x", {}, names, person["points"], camera=short)
        estimate = estimate.in_camera(Camera(focal, (WIDTH / 2, HEIGHT / 2)))
        far = estimate.joints[8] - person["joints"][0] + person["transl"]
        translation.append(far)
        joints.append(estimate.joints - far)
    np.savez(
        path,
        global_orient=np.array([p["global_orient"] for p in people]),
        body_pose=np.array([np.append(p["body_pose"], np.zeros(6)) for p in people]),
        betas=np.zeros((len(people), 10)),
        pred_cam_t_full=np.array(translation),
        scaled_focal_length=np.array(focal),
        pred_keypoints_3d=np.array(joints),
    )


def write_image(folder: Path, people: list[dict[str, Any]], estimator: str = "hmr2") -> Path:
    folder.mkdir(parents=True)
    write_openpose(folder / "openpose.json", [keypoints_of(person) for person in people])
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "image.png")
    if estimator == "hmr2":
        write_hmr2(folder / "hmr2.npz", people)
    elif estimator == "parameters":
        # as a SMPL-X fit would have it, whose rest pelvis lies elsewhere
        transl = np.array([p["joints"][0] for p in people]) - MEAN_PELVIS["smplx"]
        arrays = {k: np.array([p[k] for p in people]) for k in ("global_orient", "body_pose")}
        np.savez(folder / "parameters.npz", transl=transl, **arrays)
    return folder


@pytest.fixture(scope="module")
def crowd(body: BodyModel) -> list[dict[str, Any]]:
    """Two who stand close, and one apart."""
    return people_in_camera(
        body, Camera.from_image_size(WIDTH, HEIGHT), [(-0.2, 0.1, 3.0), (0.25, 0.1, 3.1), (2.0, 0.0, 4.5)]
    )


# Starts


def test_an_estimate_in_a_long_camera_becomes_a_near_start(
    tmp_path: Path, body: BodyModel, crowd: list[dict[str, Any]]
) -> None:
    (files,) = find_images(write_image(tmp_path / "a", crowd))
    (scene,) = propose_scenes([files])
    params, report = initial_parameters(body, [person.initial for person in scene.people])
    assert float(report.mean_distance.max()) < 0.05
    for k, person in enumerate(crowd[:2]):
        pelvis = body.pose({n: v[k : k + 1] for n, v in params.items()}).joints[0, 0].numpy()
        assert np.linalg.norm(pelvis - person["joints"][0]) < 0.06


def test_parameters_only_are_posed(body: BodyModel, crowd: list[dict[str, Any]]) -> None:
    person = crowd[0]
    pelvis = person["joints"][0]
    estimate = InitialEstimate(
        "smplerx",
        {k: person[k] for k in ("global_orient", "body_pose")},
        ("pelvis",),
        pelvis[None],
        model="smplx",
        own={"betas": np.ones(10), "transl": np.full(3, 99.0)},
        camera=Camera.from_image_size(WIDTH, HEIGHT),
    )
    posed = posed_estimate(estimate, body)
    assert np.allclose(posed.joints[: len(body.joint_names)], person["joints"], atol=1e-5)
    assert posed.projected is not None
    assert np.allclose(posed.projected.xy[0], person["pixels"][0], atol=0.1)
    with pytest.raises(ValueError, match="no pelvis or head, or no orientation"):
        posed_estimate(replace(estimate, parameters={}), body)


def test_scene_needs_joints_or_a_body(body: BodyModel, crowd: list[dict[str, Any]]) -> None:
    person = crowd[0]
    estimate = InitialEstimate(
        "smplerx",
        {k: person[k] for k in ("global_orient", "body_pose")},
        ("pelvis",),
        person["joints"][:1],
        model="smplx",
        own={"transl": person["transl"], "betas": np.ones(10)},
    )
    detection = PersonDetection(keypoints_of(person), np.zeros(4), estimate)
    with pytest.raises(
        ValueError, match=r"person 0: the estimate of 'smplerx' has 0 of the 3D joints.*give body="
    ):
        scene_from_detections([detection], WIDTH, HEIGHT)
    start = scene_from_detections([detection], WIDTH, HEIGHT, body=body).people[0].initial
    assert start.joints is not None and len(start.joints.names) > 15
    own = scene_from_detections([detection], WIDTH, HEIGHT, body_model="smplx").people[0].initial
    assert own.joints is None and np.allclose(own.parameters["transl"], person["transl"])
    assert "betas" in own.parameters and set(own.parameters) >= {"global_orient", "body_pose"}


def test_joints_without_parameters_are_enough(body: BodyModel, crowd: list[dict[str, Any]]) -> None:
    """As SAM 3D Body gives them: named points and the trunk's orientation."""
    from apu_contacts.sources.conventions import orientation_from_joints

    names = SKELETONS["body25"].joint_names
    keep = [k for k in range(25) if crowd[1]["mask"][k] and names[k] not in ("mid_hip", "neck")]
    points = crowd[1]["points"][keep]
    orient = orientation_from_joints([names[k] for k in keep], points)
    assert orient is not None
    estimate = InitialEstimate(
        "sam3d", {"global_orient": orient}, tuple(names[k] for k in keep), points, model="mhr"
    )
    scene = scene_from_detections(
        [PersonDetection(keypoints_of(crowd[1]), np.zeros(4), estimate)], WIDTH, HEIGHT
    )
    _, report = initial_parameters(body, [scene.people[0].initial])
    assert float(report.mean_distance[0]) < 0.03


def test_the_scene_camera_can_be_the_estimators_own(crowd: list[dict[str, Any]]) -> None:
    camera = Camera(1500.0, (410.0, 290.0))
    names = SMPLX_OUTPUT_JOINTS[:22]
    estimate = InitialEstimate("nlf", {}, names, crowd[0]["joints"][:22], camera=camera)
    detection = PersonDetection(keypoints_of(crowd[0]), np.zeros(4), estimate)
    scene = scene_from_detections([detection], WIDTH, HEIGHT, camera=Camera(1500.0, (410.0, 290.0)))
    kept = scene.people[0].initial.joints
    assert kept is not None and scene.camera == Camera(1500.0, (410.0, 290.0))
    assert np.allclose(kept.xyz[kept.names.index("left_knee")], crowd[0]["joints"][names.index("left_knee")])


def test_the_mean_pelvis_of_the_free_body_is_its_own(body: BodyModel) -> None:
    assert np.allclose(body.pose({}).joints[0, 0].numpy(), MEAN_PELVIS["free"], atol=0.01)


# Proposals


def test_scenes_hold_the_proposed_pairs_and_the_report_every_reason(
    tmp_path: Path, body: BodyModel, crowd: list[dict[str, Any]]
) -> None:
    write_image(tmp_path / "d" / "b_pair", crowd)
    write_image(tmp_path / "d" / "a_fitted", crowd, "parameters")
    write_image(tmp_path / "d" / "c_alone", crowd[2:])
    write_image(tmp_path / "d" / "d_no_mesh", crowd, "none")
    (tmp_path / "d" / "e_broken").mkdir()
    (tmp_path / "d" / "e_broken" / "openpose.json").write_text("{")
    (tmp_path / "d" / "f_empty").mkdir()
    report, told = ProposalReport(), []
    images = find_images(tmp_path / "d")
    assert [files.name for files in images] == ["a_fitted", "b_pair", "c_alone", "d_no_mesh", "e_broken"]
    scenes = list(
        propose_scenes(
            images,
            body=lambda: body,
            report=report,
            progress=lambda *step: told.append(step),
            start="estimate",
        )
    )
    assert [scene.name for scene in scenes] == ["a_fitted", "b_pair"]
    for scene in scenes:
        assert len(scene.people) == 2 and [(c.person_a, c.person_b) for c in scene.contacts] == [(0, 1)]
        assert len(scene.contacts[0].contacts) == 0 and scene.image is not None
    rows = dict(report.rows())
    assert rows["images"] == 5 and rows["people with keypoints"] == 10
    assert rows["pairs proposed"] == 2 and rows["pairs rejected: no mesh"] == 1
    assert rows["pairs rejected: far apart"] == 6 and rows["pairs rejected: different depth"] == 0
    assert rows["images without a scene: no pair proposed"] == 2
    assert rows["images without a scene: unreadable"] == 1 and "e_broken" in report.notes[0]
    assert told[-1] == (1.0, "done") and len(told) == 6


def test_scene_lines_there_and_back(tmp_path: Path, crowd: list[dict[str, Any]]) -> None:
    images = find_images(write_image(tmp_path / "a", crowd))
    assert write_scene_lines(tmp_path / "out" / "s.jsonl", propose_scenes(images)) == 1
    (scene,) = read_scene_lines(tmp_path / "out" / "s.jsonl")
    (expected,) = propose_scenes(images)
    assert scene.name == "a" and scene.image == expected.image
    assert np.allclose(scene.people[0].keypoints.xy, expected.people[0].keypoints.xy, atol=1e-5)
    assert not list((tmp_path / "out").glob(".*")), "nothing partial is left"
    (tmp_path / "bad.jsonl").write_text('\n{"schema_version": 1}\n')
    with pytest.raises(SceneFileError, match=r"bad\.jsonl, line 2"):
        read_scene_lines(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(SceneFileError, match="line 1: not JSON"):
        read_scene_lines(tmp_path / "bad.jsonl")
    with pytest.raises(SceneFileError, match="absent"):
        read_scene_lines(tmp_path / "absent.jsonl")


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    def failing() -> Any:
        yield from ()
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_scene_lines(tmp_path / "s.jsonl", failing())
    assert list(tmp_path.iterdir()) == []


def test_manifest(tmp_path: Path, crowd: list[dict[str, Any]]) -> None:
    write_image(tmp_path / "data" / "a", crowd)
    lines = [
        {"image": "data/a/image.png", "openpose": "data/a/openpose.json", "hmr2": "data/a/hmr2.npz"},
        {
            "name": "b",
            "width": WIDTH,
            "height": HEIGHT,
            "openpose": "data/a/openpose.json",
            "hmr2": "data/a/hmr2.npz",
        },
        {"openpose": "data/a/openpose.json"},
        {"name": "d", "width": WIDTH, "height": HEIGHT},
    ]
    path = tmp_path / "images.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    report = ProposalReport()
    scenes = list(propose_scenes(find_images(path), report=report))
    assert [scene.name for scene in scenes] == ["image", "b"] and scenes[1].image is None
    assert report.images_without_scene == {"unreadable": 1, "no keypoint file": 1}
    assert "image_000003: the image's size is unknown" in report.notes[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: expected an object"),
        ('{"hmr": "a"}', "unknown 'hmr'; known are openpose"),
        ('{"openpose": 3}', "openpose must be a path"),
        ('{"width": 3.5, "height": 2}', "whole pixels above 0"),
    ],
)
def test_manifest_errors(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(ValueError, match=message):
        find_images(tmp_path / "a.jsonl")


def test_folders_without_or_with_too_many_files(tmp_path: Path, crowd: list[dict[str, Any]]) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_images(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="neither here nor one folder below"):
        find_images(tmp_path)
    folder = write_image(tmp_path / "a", crowd)
    (folder / "bev.npz").write_bytes(b"")
    report = ProposalReport()
    assert not list(propose_scenes(find_images(folder), report=report))
    assert "several estimators: bev, hmr2" in report.notes[0]
    (folder / "bev.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"both bev.np. and bev.np.: keep one"):
        find_images(folder)


@pytest.mark.real
def test_real_photographs(real_dir: Path, tmp_path: Path) -> None:
    report = ProposalReport()
    scenes = list(propose_scenes(find_images(real_dir), report=report, start="estimate"))
    assert [scene.name for scene in scenes] == ["college_232334", "girls_250416"]
    assert report.counts["proposed"] == 33 and sum(report.counts.values()) == 445


# From pictures


def test_detected_pictures_and_an_estimators_files_become_scenes(body: BodyModel, tmp_path: Path) -> None:
    """`apu detect --estimates` lists what `apu propose` needs: a turned picture, nobody, no estimate."""
    camera = Camera.from_image_size(WIDTH, HEIGHT)
    people = people_in_camera(body, camera, [(-0.25, 0.0, 4.0), (0.25, 0.0, 4.1)])
    photos, meshes = tmp_path / "photos", tmp_path / "hmr2"
    photos.mkdir()
    meshes.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the file lies on its side
    Image.new("RGB", (HEIGHT, WIDTH)).save(photos / "hug.png", exif=exif)
    for name in ("alone", "nobody"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(photos / f"{name}.png")
    write_hmr2(meshes / "hug.npz", people)
    write_hmr2(meshes / "nobody.npz", [])

    def detector(picture: Path) -> DetectedPeople:
        seen = [] if picture.stem == "nobody" else people
        xy = np.array([person["pixels"] for person in seen]).reshape(-1, 25, 2)
        confidence = np.array([np.where(p["mask"], 0.9, 0.0) for p in seen]).reshape(-1, 25)
        return DetectedPeople(
            "body25", xy, confidence, confidence, np.zeros((len(seen), 4)), picture_size(picture)
        )

    out = tmp_path / "detections.jsonl"
    summary = detect_pictures(
        find_pictures([photos]), detector, out, estimates={"hmr2": str(meshes / "{name}.npz")}
    )
    assert summary.without_estimate == {"hmr2": ["alone"]} and summary.empty == ["nobody"]
    report = ProposalReport()
    (scene,) = propose_scenes(find_images(out), body=lambda: body, report=report, start="estimate")
    assert (scene.name, scene.width, scene.height, len(scene.people)) == ("hug", WIDTH, HEIGHT, 2)
    assert scene.image == str((photos / "hug.png").resolve())
    assert report.counts["no mesh"] == 1 and report.counts["proposed"] == 1 and not report.notes


def test_without_any_estimate_it_says_what_is_missing(tmp_path: Path) -> None:
    write_openpose(tmp_path / "openpose.json", [])
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "image.png")
    report = ProposalReport()
    assert not list(propose_scenes(find_images(tmp_path), report=report, start="estimate"))
    assert "a fit needs a start: run one of bev, hmr2" in report.notes[0]


# The command


def apu(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["apu", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    return int(stop.value.code or 0), out, err


def test_command(
    tmp_path: Path,
    crowd: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_image(tmp_path / "d" / "a", crowd)
    code, out, _ = apu(monkeypatch, capfd, "propose", tmp_path / "d", "-o", tmp_path / "s.jsonl")
    assert code == 0 and "1 scene in" in out
    for line in ("pairs proposed", "pairs rejected: far apart", "pairs rejected: different depth"):
        assert line in out
    assert len(read_scene_lines(tmp_path / "s.jsonl")) == 1
    none = apu(
        monkeypatch, capfd, "propose", tmp_path / "d", "-o", tmp_path / "t.jsonl", "--max-distance", "0.0001"
    )
    assert none[0] == 0 and "0 scenes in" in none[1]


def test_command_with_bad_input(
    tmp_path: Path,
    crowd: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, _, err = apu(monkeypatch, capfd, "propose", tmp_path / "absent", "-o", tmp_path / "s.jsonl")
    assert code == 2 and "apu propose:" in err and "no such file or folder" in err
    folder = write_image(tmp_path / "a", crowd)
    code, _, err = apu(
        monkeypatch, capfd, "propose", folder, "-o", tmp_path / "s.jsonl", "--max-distance", "-1"
    )
    assert code == 2 and "max_distance must be positive" in err and not (tmp_path / "s.jsonl").exists()
    (folder / "openpose.json").write_text("{")
    code, out, err = apu(monkeypatch, capfd, "propose", folder, "-o", tmp_path / "s.jsonl")
    assert code == 1 and "note: a:" in err and "unreadable" in out


def test_scores_of_another_scale_are_divided_as_the_manifest_says(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).uniform(50, 400, (17, 2)).tolist()
    (tmp_path / "m.json").write_text(json.dumps([{"keypoints": xy, "keypoint_scores": [4.5] * 17}]))
    lines = []
    for scale in ({"score_scale": 6}, {"score_scale": {"mmpose": 9}}, {}):
        entry = {"name": "\u2028é", "width": 640, "height": 480, "mmpose": "m.json", **scale}
        lines.append(json.dumps(entry, ensure_ascii=False))
    (tmp_path / "list.jsonl").write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode())
    images = find_images(tmp_path / "list.jsonl")
    assert [read_people(image)[0].keypoints.confidence.max() for image in images[:2]] == [0.75, 0.5]
    with pytest.raises(ValueError, match=r"give score_scale, about 4\.5"):
        read_people(images[2])
    (tmp_path / "bad.jsonl").write_text(lines[0].replace('"score_scale": 6', '"score_scale": "six"'))
    with pytest.raises(ValueError, match="score_scale must be a number above 0"):
        find_images(tmp_path / "bad.jsonl")
    report = ProposalReport()
    assert not list(propose_scenes(images[2:], report=report))
    assert "SimCC" in report.failed["\u2028é"][0]


def test_who_has_no_estimate_is_proposed_and_starts_from_keypoints(
    tmp_path: Path, body: BodyModel, crowd: list[dict[str, Any]]
) -> None:
    images = find_images(write_image(tmp_path / "a", crowd, "none"))
    report = ProposalReport()
    (scene,) = propose_scenes(images, body=lambda: body, report=report)
    assert len(scene.people) == 2 and dict(report.rows())["people started from keypoints alone"] == 2
    assert all(person.label.endswith("started from keypoints") for person in scene.people)
    assert all("transl" in person.initial.parameters for person in scene.people)
    assert report.counts["no mesh"] == 0 and not report.notes
    assert ProposalReport.from_dict(report.to_dict()).from_keypoints == 2
    with pytest.raises(ValueError, match="start must be 'keypoints' or 'estimate', got 'luck'"):
        list(propose_scenes(images, start="luck"))  # type: ignore[arg-type]
