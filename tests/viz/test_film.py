"""Films of fits: what the file holds, where its people stand, and that the fit does not notice."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from apu_contacts import ContactMap, Keypoints2D
from apu_contacts.camera import Camera
from apu_losses.bodies import load_body
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.fitting import (
    FitProgress,
    FitState,
    InitialBody,
    Preset,
    Scene,
    SceneContact,
    SceneFitter,
    ScenePerson,
    Stage,
    make_batch,
    sequence,
)
from apu_losses.viz import FitFilm
from apu_losses.viz.film import _spread
from apu_losses.viz.film_frame import FrameArtist, Moment

WEIGHTS = {"keypoints": 0.02, "contact": 1e4, "initial_pose": 1.0}
ADAM = Stage("adam", WEIGHTS, ("body_pose", "transl"), 0.03, 8, relative_slope=None)
LEVENBERG = Stage("levenberg", WEIGHTS, ADAM.free, 0.03, 5, optimizer="levenberg_marquardt")
PRESET = Preset("two", {}, (ADAM, LEVENBERG))
QUICK = {"frames": 4, "height": 48}


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def fitter(body):
    return SceneFitter(body, preset=PRESET)


def standing(x: float, depth: float = 4.0) -> InitialBody:
    return InitialBody({"transl": np.array([x, 0.3, depth]), "global_orient": np.array([np.pi, 0, 0])})


def make_scene(body, moved: float = 0.25, **changes) -> Scene:
    """Two people who start ``moved`` metres to the left of where they were seen."""
    camera = Camera.from_image_size(160, 120)
    people = []
    for x in (-0.4, 0.4):
        truth = {name: torch.tensor(v[None]).float() for name, v in standing(x).parameters.items()}
        with torch.no_grad():
            points = body.keypoints(body.pose(truth), "body25")[0].double().numpy()
        xy = points[:, :2] / points[:, 2:] * camera.focal + camera.center
        people.append(ScenePerson(Keypoints2D("body25", xy, np.ones(25)), standing(x - moved)))
    touch = [SceneContact(0, 1, ContactMap([[17, 40]]), "either")]
    return Scene(
        **{"width": 160, "height": 120, "people": people, "contacts": touch, "camera": camera, **changes}
    )


def frames_of(path) -> tuple[list[np.ndarray], list[int]]:
    """All frames and their durations, as Pillow reads them."""
    with Image.open(path) as file:
        pictures, milliseconds = [], []
        for i in range(file.n_frames):
            file.seek(i)
            pictures.append(np.asarray(file.convert("RGB")).astype(int))
            milliseconds.append(file.info["duration"])
    return pictures, milliseconds


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_the_file_is_a_film_whose_end_is_held(fitter, body, tmp_path, kind):
    path = tmp_path / f"fit.{kind}"
    with FitFilm(path, frames=5, height=48, seconds=0.1, hold=1.5) as film:
        fitter.fit([make_scene(body)], callback=film)
        assert film.seen >= 9 and not path.exists()
    pictures, milliseconds = frames_of(path)
    assert 3 <= len(pictures) <= 5 and len({p.shape for p in pictures}) == 1
    assert milliseconds[0] == 1000 and milliseconds[-1] == 1500 and set(milliseconds[1:-1]) == {100}
    assert np.abs(pictures[0] - pictures[-1]).max() > 60
    with Image.open(path) as file:
        assert file.format == kind.upper() and file.info["loop"] == 0


def test_the_fit_has_the_same_bits_with_a_film(fitter, body, tmp_path):
    scenes = [make_scene(body, 0.2, name="a"), make_scene(body, 0.0, name="b")]
    scenes[1] = replace(scenes[1], people=scenes[1].people[:1], contacts=())
    plain = fitter.fit(scenes)
    films = [FitFilm(tmp_path / f"{i}.webp", number=i, **QUICK) for i in range(2)]
    for size in (32, 1):
        split = SceneFitter(body, preset=PRESET, batch_size=size)
        filmed = split.fit(scenes, callback=lambda event: [film(event) for film in films])
        for without, with_film in zip(plain, filmed, strict=True):
            assert [s.loss for s in without.stages] == [s.loss for s in with_film.stages]
            for name, value in without.parameters.items():
                np.testing.assert_array_equal(value, with_film.parameters[name])
        for film, result in zip(films, filmed, strict=True):
            # the last moment is what came out, though the last step of Levenberg-Marquardt may not be taken
            assert film._latest.loss == result.stages[-1].loss
            for name, value in film._latest.params.items():
                np.testing.assert_array_equal(value.double().numpy(), result.parameters[name])
    for film in films:
        film.close()
    assert [len(frames_of(film.path)[0]) >= 2 for film in films] == [True, True]


def test_people_stand_where_the_camera_projects_them(body):
    """The drawn silhouette's box on the picture is that of all projected vertices, in each moment."""
    scene = make_scene(body, contacts=[])
    nobody = [ScenePerson(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)))]  # nothing drawn on top
    fitter = SceneFitter(body, preset=PRESET)
    moments, boxes, shown = [], [], []
    for x in (-0.8, 0.0, 0.6):
        person = replace(nobody[0], initial=standing(x))
        params = fitter.start([replace(scene, people=[person])])
        moments.append(Moment("s", len(moments), 1.0, {}, params))
        vertices = body.pose(params).vertices().double().numpy()
        shown.append(vertices)
        xy = vertices[0, :, :2] / vertices[0, :, 2:] * scene.camera.focal + scene.camera.center
        boxes.append([*xy.min(0), *xy.max(0)])
    artist = FrameArtist(
        replace(scene, people=nobody), body, fitter.geometry.regions, moments, iter(shown), 200
    )
    for i, box in enumerate(boxes):
        frame = artist.draw(i).astype(int)
        head = round(artist.text * 1.7) + 8
        w, h = artist.size
        picture = frame[head : head + h, 8 : 8 + w]
        rows, columns = np.nonzero(picture[..., 2] - picture[..., 0] > 25)  # the first person's blue
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / artist.scale
        np.testing.assert_allclose(found + np.tile(artist.corner, 2), box, atol=2.5 / artist.scale)


def test_a_photograph_stays_behind_the_people(fitter, body, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (160, 120), (20, 120, 20)).save(photo)
    with FitFilm(tmp_path / "fit.webp", **QUICK) as film:
        fitter.fit([make_scene(body, image=str(photo))], callback=film)
    pictures, _ = frames_of(tmp_path / "fit.webp")
    for picture in pictures:
        green = (picture[..., 1] - picture[..., 0] > 60) & (picture[..., 1] - picture[..., 2] > 60)
        assert green.mean() > 0.05
        assert not green[:, picture.shape[1] * 3 // 4 :].any(), "the side view has no photograph"


def test_frames_follow_the_way_that_joints_move(body):
    """Nine tenths of the way in the first tenth of the time: most frames lie there, and the end is there."""
    x = np.concatenate([np.linspace(0, 0.9, 11), np.linspace(0.9, 1.0, 91)[1:]])
    moments = [
        Moment("s", i, 1.0, {}, {"transl": torch.tensor([[v, 0.0, 3.0]], dtype=torch.float32)})
        for i, v in enumerate(x)
    ]
    chosen = _spread(moments, body, 13)
    assert chosen[0] == 0 and chosen[-1] == 100 and chosen == sorted(set(chosen)) and len(chosen) <= 13
    assert sum(i <= 10 for i in chosen) >= 8 and max(b - a for a, b in itertools.pairwise(chosen)) <= 40
    assert _spread(moments[:5], body, 13) == [0, 1, 2, 3, 4]


def test_a_step_that_was_not_taken_is_not_shown(body, fitter, tmp_path):
    """Made-up events: a loss may stay though a step was taken, and not be what says whether it was."""
    film = FitFilm(tmp_path / "fit.webp", **QUICK)
    for iteration, (loss, taken) in enumerate([(5.0, True), (4.0, True), (4.0, False), (4.0, True)]):
        film(event_of(body, fitter, "one", iteration, loss, taken=taken))
    film(event_of(body, fitter, "two", 0, 4.0, evaluation=4))
    assert film.seen == 4
    film(event_of(body, fitter, "one", 0, 5.0, attempt=2))  # its batch is fitted again
    assert film.seen == 1
    film(event_of(body, fitter, "one", 0, 6.0))  # and the whole list, by another call
    assert film.seen == 1
    film(event_of(body, fitter, "one", 1, 4.0))
    film(event_of(body, fitter, "one", 2, 3.0, number=7))  # somebody else's
    assert film.seen == 2
    film.close()
    assert len(frames_of(tmp_path / "fit.webp")[0]) == 2 and film.seen == 0


def test_memory_is_bounded_and_the_last_moment_kept(body, fitter, tmp_path, monkeypatch):
    monkeypatch.setattr("apu_losses.viz.film._KEPT", 8)
    film = FitFilm(tmp_path / "fit.webp", **QUICK)
    for iteration in range(100):
        film(event_of(body, fitter, "one", iteration, 100.0 - iteration))
        assert len(film._moments) <= 8
    kept = [moment.iteration for moment in film._moments]
    assert kept[0] == 0 and len(set(np.diff(kept))) == 1 and film._latest.iteration == 99


def event_of(
    body, fitter, stage, iteration, loss, number=0, *, taken=True, attempt=1, evaluation=None
) -> FitProgress:
    scene = make_scene(body)
    params = fitter.start([scene])
    params["transl"] = params["transl"] + 0.01 * iteration
    batch = make_batch([scene], torch.device("cpu"), torch.float32, body)
    state = FitState(body, fitter.geometry.regions, fitter.geometry.topology, batch, params, params, params)
    loss = torch.tensor([loss])
    return FitProgress(
        stage,
        iteration,
        10,
        torch.tensor([number]),
        loss,
        {"keypoints": loss},
        state,
        torch.tensor([taken]),
        attempt,
        iteration if evaluation is None else evaluation,
    )


def test_people_out_of_the_picture_and_behind_the_camera(fitter, body, tmp_path):
    unseen = Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))
    scene = make_scene(body)
    strays = [ScenePerson(unseen, standing(9.0)), ScenePerson(unseen, standing(0.0, -2.0))]
    for name, people in (("all", [*scene.people, *strays]), ("strays", strays)):
        path = tmp_path / f"{name}.webp"
        with FitFilm(path, **QUICK) as film:
            fitter.fit([replace(scene, people=people, contacts=())], callback=film)
        assert len(frames_of(path)[0]) >= 1


def test_of_a_sequence_the_first_picture_is_filmed(fitter, body, tmp_path):
    first, second = make_scene(body, 0.2), make_scene(body, 0.3)
    with FitFilm(tmp_path / "fit.webp", **QUICK) as film:
        fitter.fit([sequence([first, second])], callback=film)
        with torch.no_grad():
            shown = [body.pose(m.params).vertices().numpy() for m in film._moments]
        scene, model, regions = film._source
        artist = FrameArtist(scene, model, regions, film._moments, shown, 48)
        assert artist.people == [0, 1] and len(artist.contacts) == 1
    assert frames_of(tmp_path / "fit.webp")[0]


def test_given_meshes_can_be_filmed(body, fitter, tmp_path):
    scene = make_scene(body)
    with torch.no_grad():
        posed = body.pose(fitter.start([scene]))
        names = body.joint_names
        given = PosedMeshBody(posed.vertices(), body.faces, joints=posed.joints, joint_names=names)
    stage = replace(ADAM, weights={"keypoints": 0.02}, free=("transl",))
    with FitFilm(tmp_path / "fit.webp", **QUICK) as film:
        people = [ScenePerson(p.keypoints) for p in scene.people]
        meshes = SceneFitter(given, regions=fitter.regions, preset=Preset("move", {}, (stage,)))
        meshes.fit([replace(scene, people=people)], callback=film)
    pictures, _ = frames_of(tmp_path / "fit.webp")
    assert np.abs(pictures[0] - pictures[-1]).max() > 60


def test_an_error_leaves_what_came_before_and_nothing_seen_a_warning(fitter, body, tmp_path):
    def stop(event):
        film(event)
        if film.seen == 3:
            raise error

    for error, left in ((RuntimeError("enough"), True), (KeyboardInterrupt(), False)):
        path = tmp_path / f"{left}.webp"
        with pytest.raises(type(error)), FitFilm(path, **QUICK) as film:
            fitter.fit([make_scene(body)], callback=stop)
        assert path.exists() == left
    with (
        pytest.warns(UserWarning, match="showed no iteration of scene number 3"),
        FitFilm(path, number=3) as film,
    ):
        fitter.fit([make_scene(body)], callback=film)
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"path": "fit.mp4"}, ValueError, "path must end in .webp or .gif"),
        ({"path": "fit"}, ValueError, "path must end"),
        ({"path": "nowhere/fit.gif"}, FileNotFoundError, "nowhere"),
        ({"number": -1}, ValueError, "number must"),
        ({"frames": 1}, ValueError, "frames must be at least 2"),
        ({"height": 5}, ValueError, "height must"),
        ({"seconds": 0.0}, ValueError, "seconds must"),
        ({"hold": float("nan")}, ValueError, "hold must"),
    ],
)
def test_errors_name_the_argument(change, error, said, tmp_path):
    arguments = {"path": "fit.webp", **change}
    with pytest.raises(error, match=said):
        FitFilm(tmp_path / arguments.pop("path"), **arguments)
