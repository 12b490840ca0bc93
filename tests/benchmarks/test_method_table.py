"""The method table: what its rows are made of, its statistics, and that a run resumes to the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from method_table import (
    ContactSource,
    Method,
    MethodRunner,
    SceneScores,
    ablation_rows,
    bootstrap,
    contacts_of,
    difference,
    main_rows,
    reduction,
    score,
    spread_over_types,
    sweep_rows,
    trace,
    with_heuristic,
)
from method_table.convergence import never_stopping
from method_table.report import (
    held_by,
    main_report,
    margins,
    mean_table,
    type_table,
)
from scipy import stats
from scipy.spatial import cKDTree, procrustes

from apu_contacts import RegionMap
from apu_losses.bodies import load_body
from apu_losses.fitting import (
    InitialBody,
    Preset,
    Scene,
    SceneFitter,
    Stage,
    load_preset,
    scene_from_detections,
)
from apu_losses.synthetic import AnnotatorNoise, Observation, ObservationNoise, TruthScene, observe

CAREFUL = AnnotatorNoise.none()
SHORT = Preset(
    "short",
    {"keypoints": {}, "contact": {"over": "parts", "robust": 0.15}, "initial_pose": {}},
    (
        Stage(
            "one",
            {"keypoints": 0.02, "contact": 1e4, "initial_pose": 100.0},
            ("body_pose", "transl"),
            0.02,
            5,
        ),
    ),
)


@pytest.fixture(scope="module")
def pictures(made_scenes: list[TruthScene]) -> list[Observation]:
    return [observe(truth, ObservationNoise.none(), seed=2) for truth in made_scenes]


def as_true_pairs(picture: Observation, source: ContactSource) -> list[tuple[int, int]]:
    """Region pairs of a map, those of person 0 first."""
    (edge,) = contacts_of(picture, source)
    pairs = [(int(a), int(b)) for a, b in edge.contacts.pairs]
    return pairs if edge.person_a == 0 else [(b, a) for a, b in pairs]


@pytest.mark.parametrize("sides", ["as told", "paper", "posterior"])
@pytest.mark.parametrize("order", ["decided", "either", "as told"])
def test_a_careful_annotators_answer_names_the_true_contact(
    pictures: list[Observation], sides: str, order: str
) -> None:
    for picture in pictures:
        source = ContactSource(sides=sides, order=order, annotator=CAREFUL)
        assert set(picture.truth.contact_regions) <= set(as_true_pairs(picture, source))
        fused = replace(source, fused=True)
        assert set(picture.truth.contact_regions) <= set(as_true_pairs(picture, fused))


def test_the_wrong_order_is_wrong_and_a_mixed_up_answer_is_put_right(pictures: list[Observation]) -> None:
    mixed = replace(CAREFUL, people_swapped=1.0)
    right = 0
    for picture in pictures:
        true = set(picture.truth.contact_regions)
        parts_differ = picture.truth.intended[0].place_a != picture.truth.intended[0].place_b
        if parts_differ:
            assert not true & set(as_true_pairs(picture, ContactSource(order="wrong", annotator=CAREFUL)))
            assert not true & set(as_true_pairs(picture, ContactSource(order="as told", annotator=mixed)))
        (edge,) = contacts_of(picture, ContactSource(order="decided", annotator=mixed))
        right += edge.order == "either" or true <= set(
            as_true_pairs(picture, ContactSource(order="decided", annotator=mixed))
        )
    assert right >= 4


def test_weights_are_soft_or_one_and_the_truth_is_the_truth(pictures: list[Observation]) -> None:
    for picture in pictures:
        (soft,) = contacts_of(picture, ContactSource(annotator=CAREFUL))
        (hard,) = contacts_of(picture, ContactSource(annotator=CAREFUL, soft=False))
        trust = ContactSource().trust
        assert (hard.contacts.weights == trust).all() and (soft.contacts.weights < trust).all()
        assert np.array_equal(soft.contacts.pairs, hard.contacts.pairs)
        (truth,) = contacts_of(picture, ContactSource("truth"))
        assert [tuple(p) for p in truth.contacts.pairs] == list(picture.truth.contact_regions)
        assert contacts_of(picture, ContactSource("none")) == ()
        silent = replace(CAREFUL, missed=1.0)
        assert contacts_of(picture, ContactSource(annotator=silent)) == ()


def test_sides_as_meant_are_the_answer_without_its_flips(pictures: list[Observation]) -> None:
    flips = replace(CAREFUL, flipped=0.8, flipped_alone=0.4)
    changed = 0
    for picture in pictures:
        told = ContactSource(sides="as told", order="as told", annotator=flips)
        meant = set(as_true_pairs(picture, replace(told, sides="as meant")))
        assert meant == set(as_true_pairs(picture, replace(told, annotator=CAREFUL)))
        assert set(picture.truth.contact_regions) <= meant
        changed += meant != set(as_true_pairs(picture, told))
    assert changed >= 2


def _scene(picture: Observation, parameters: dict[str, np.ndarray], contacts: Sequence = ()) -> Scene:
    scene = scene_from_detections(picture.detections, picture.view.width, picture.view.height, contacts)
    people = [
        replace(p, initial=InitialBody({k: v[i] for k, v in parameters.items()}))
        for i, p in enumerate(scene.people)
    ]
    return replace(scene, people=people)


def _true_parameters(picture: Observation) -> dict[str, np.ndarray]:
    """The truth's parameters in the camera frame: the pelvis, about which it turns, is put where it is."""
    from scipy.spatial.transform import Rotation

    body = load_body("free")
    params = {k: np.array(v) for k, v in picture.truth.parameters.items()}
    turn = Rotation.from_matrix(picture.view.rotation)
    params["global_orient"] = (turn * Rotation.from_rotvec(params["global_orient"])).as_rotvec()
    still = {
        k: torch.as_tensor(v, dtype=torch.float32) for k, v in {**params, "transl": np.zeros((2, 3))}.items()
    }
    params["transl"] = picture.joints[:, 0] - body.pose(still).joints[:, 0].numpy()
    return params


def test_the_truth_itself_scores_as_perfect_and_a_moved_person_by_as_much(
    pictures: list[Observation],
) -> None:
    fitter = SceneFitter(preset=replace(SHORT, stages=(replace(SHORT.stages[0], max_iterations=0),)))
    shift = np.array([0.0, 0.0, 0.3])
    for picture in pictures[:3]:
        params = _true_parameters(picture)
        moved = {**params, "transl": params["transl"] + [np.zeros(3), shift]}
        results = fitter.fit([_scene(picture, params), _scene(picture, moved)])
        perfect, other = score(fitter, [picture, picture], results)
        assert perfect.joint_pa < 1e-5 and perfect.pa < 1e-5 and perfect.mpjpe < 1e-5
        assert perfect.true_contact < 1e-4 and perfect.within_2cm == 1 and perfect.recall == 1
        assert other.pa < 1e-5 < 0.05 < other.joint_pa
        # against SciPy's Procrustes analysis of all 44 joints
        estimate, truth = picture.joints[:, :22].copy(), picture.joints[:, :22].reshape(-1, 3)
        estimate[1] += shift
        fitted_truth, fitted, _ = procrustes(truth, estimate.reshape(-1, 3))
        scale = np.linalg.norm(truth - truth.mean(0))
        expected = scale * np.linalg.norm(fitted - fitted_truth, axis=1).mean()
        # Procrustes analysis aligns scaled copies; the joint error is not more than its sum of squares says
        assert other.joint_pa == pytest.approx(expected, rel=0.02)
        regions = RegionMap.load("free")
        (a, b), *_ = picture.truth.contact_regions
        meshes = picture.vertices + np.stack([np.zeros(3), shift])[:, None]
        apart = cKDTree(meshes[0, regions.vertices(a)]).query(meshes[1, regions.vertices(b)])[0].min()
        assert other.true_contact == pytest.approx(apart, abs=1e-4)


def test_all_rows_share_everything_but_contact() -> None:
    best = load_preset("best")
    rows = {m.key: m for m in main_rows(best, ContactSource())}
    for key, term in (("no_contact", None), ("heuristic", "minimum_distance")):
        own = rows[key].preset
        for stage, other in zip(own.stages, best.stages, strict=True):
            left = {k: w for k, w in stage.weights.items() if k != term}
            assert left == {k: w for k, w in other.weights.items() if k != "contact"}
            assert replace(stage, weights={}) == replace(other, weights={})
        assert (term in own.stages[0].weights) == (term is not None)
    assert rows["truth"].preset == rows["automatic"].preset == best
    keys = [m.key for m in ablation_rows(best, ContactSource())]
    assert len(set(keys)) == len(keys) and {"sides_as_told", "order_wrong", "fused", "hard"} <= set(keys)
    noises = [m.contacts.annotator for m in sweep_rows(best, ContactSource(), (0, 1, 2))]
    assert [n.missed for n in noises] == [0, 0.5]


@pytest.mark.long
def test_a_run_resumes_to_the_same_figures(made_scenes: list[TruthScene], tmp_path: Path) -> None:
    methods = [m for m in main_rows(SHORT, ContactSource()) if m.key in ("initial", "automatic")]
    told: list[str] = []
    first = MethodRunner(made_scenes[:3], tmp_path, block=2).run(methods, tell=told.append)
    assert len(told) == 4 and [s.scene for s in first["automatic"]] == [s.name for s in made_scenes[:3]]
    again = MethodRunner(made_scenes[:3], tmp_path, block=2)
    told.clear()
    kept = again.run(methods, tell=told.append)
    assert not told and _same(first, kept)
    # a run that was cut off: one block is missing
    next(iter(tmp_path.glob("automatic_01_*.json"))).unlink()
    assert _same(first, again.run(methods, tell=told.append)) and len(told) == 1
    # nothing is taken over where it is not the same any more
    for other in (
        MethodRunner(made_scenes[:3], tmp_path, block=2, seed=1),
        MethodRunner(made_scenes[1:4], tmp_path, block=2),
    ):
        told.clear()
        other.run(methods[:1], tell=told.append)
        assert len(told) == 2
    longer = replace(methods[1], preset=SHORT.weighted(contact=2e4))
    told.clear()
    again.run([longer], tell=told.append)
    assert len(told) == 2


def _same(one: dict[str, list[SceneScores]], other: dict[str, list[SceneScores]]) -> bool:
    return [str(s.to_dict() | {"seconds": 0}) for m in one.values() for s in m] == [
        str(s.to_dict() | {"seconds": 0}) for m in other.values() for s in m
    ]


@pytest.mark.slow
def test_processes_give_the_same_figures(made_scenes: list[TruthScene]) -> None:
    methods = main_rows(SHORT, ContactSource())[:2]
    alone = MethodRunner(made_scenes[:2], block=1).run(methods)
    assert _same(alone, MethodRunner(made_scenes[:2], block=1).run(methods, jobs=2))


def test_the_convergence_follows_a_fit_past_its_end(made_scenes: list[TruthScene]) -> None:
    runner = MethodRunner(made_scenes[:2], block=2)
    method = Method("automatic", "automatic", SHORT, ContactSource())
    found = trace(runner, method, factor=2, every=4)
    assert found.iterations.tolist() == [0, 4, 8, 9] and found.stage_ends == (10,)
    start = runner.run([Method("initial", "initial", None)])["initial"]
    assert found.joint_pa[0] == pytest.approx(np.mean([s.joint_pa for s in start]), rel=1e-4)
    with pytest.raises(ValueError, match="not fitted"):
        trace(runner, Method("initial", "initial", None))


def test_a_convergence_ends_where_the_fits_end(made_scenes: list[TruthScene]) -> None:
    """Scenes end at different steps, and steps that were tried and not taken do not show."""
    runner = MethodRunner(made_scenes[:2], block=2)
    last = replace(
        SHORT.stages[-1],
        name="second order",
        optimizer="levenberg_marquardt",
        learning_rate=0.0,
        max_iterations=20,
    )
    preset = never_stopping(replace(SHORT, stages=(*SHORT.stages, last)), 2)
    method = Method("automatic", "automatic", preset, ContactSource())
    found = trace(runner, method, factor=1, every=100)
    ended = [s.joint_pa for s in runner.run([method])["automatic"]]
    assert found.joint_pa[-1] == pytest.approx(np.mean(ended), rel=1e-4)


def test_the_bootstrap_agrees_with_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = bootstrap([*values, np.nan])
    half = stats.norm.ppf(0.975) * values.std() / np.sqrt(400)
    assert found.mean == pytest.approx(values.mean()) and found.scenes == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert found.separate and not bootstrap(values - values.mean()).separate
    assert np.isnan(bootstrap([np.nan]).mean) and bootstrap([]).scenes == 0


def _scores(values: Sequence[float]) -> list[SceneScores]:
    return [
        SceneScores(
            f"s{i}", "hug" if i % 2 else "kick", v, v, v, v, v, 1, 1, 1, 1, 1, 0, 0, (1.0, 2.0), i > 0
        )
        for i, v in enumerate(values)
    ]


def test_differences_are_paired_by_scene() -> None:
    rng = np.random.default_rng(1)
    scene = rng.normal(0.1, 0.05, 200)
    one, other = _scores(scene + rng.normal(0, 0.001, 200)), _scores(scene + 0.005)
    apart = difference(one, other, "joint_pa")
    assert apart.mean == pytest.approx(-0.005, abs=3e-4)
    assert apart.high - apart.low < 0.1 * (bootstrap(scene).high - bootstrap(scene).low)
    less = reduction(one, other, "joint_pa")
    assert less.mean == pytest.approx(0.005 / 0.105, rel=0.1) and less.low > 0
    kept = [s.kept for s in one]
    assert difference(one, other, "joint_pa", kept).scenes == 199
    with pytest.raises(ValueError, match="different scenes"):
        difference(one, other[::-1], "joint_pa")


def test_scenes_of_a_type_that_are_alike_count_once() -> None:
    """Forty types of ten scenes with one gain: ten times fewer draws, so wider by the root of ten."""
    gain = np.repeat(np.random.default_rng(2).normal(0.01, 0.004, 40), 10)
    types = [f"type {i // 10}" for i in range(400)]
    one, other = (
        [replace(s, interaction=kind) for s, kind in zip(_scores(values), types, strict=True)]
        for values in (0.1 - gain, np.full(400, 0.1))
    )
    alone = reduction(one, other, "joint_pa")
    clustered = reduction(one, other, "joint_pa", by_type=True)
    assert clustered.mean == alone.mean == pytest.approx(gain.mean() / 0.1)
    assert clustered.high - clustered.low == pytest.approx(np.sqrt(10) * (alone.high - alone.low), rel=0.15)
    half = stats.norm.ppf(0.975) * gain[::10].std() / 0.1 / np.sqrt(40)
    assert clustered.high - clustered.low == pytest.approx(2 * half, rel=0.15)


def test_tables_print_the_means_that_they_are_given() -> None:
    methods = main_rows(SHORT, ContactSource())
    levels = {"initial": 0.14, "no_contact": 0.12, "automatic": 0.10, "truth": 0.08, "heuristic": 0.12}
    scores = {key: _scores([level, level + 0.02] * 10) for key, level in levels.items()}
    text = mean_table(methods, scores, compared="no_contact")
    row = next(line for line in text.splitlines() if line.startswith("| automatic"))
    assert row.startswith("| automatic contact maps (ours) | 110.0 [") and row.endswith(
        "| -20.0 [-20.0, -20.0] |"
    )
    less = next(
        line for line in margins(scores).splitlines() if line.startswith("| automatic under no_contact")
    )
    assert less.startswith("| automatic under no_contact | 15.4 [") and less.endswith("| yes |")
    by_type = type_table(methods, scores).splitlines()
    assert by_type[2].startswith("| hug | 10 | 160 | 140 |") and by_type[-1].startswith(
        "| **mean over types** | 20 |"
    )


def test_scenes_are_kept_whose_contacts_held() -> None:
    own = _scores([0.1, 0.1, 0.1, 0.1])
    shares = (1.0, 0.5, 0.49, float("nan"))
    own = [replace(s, held=share) for s, share in zip(own, shares, strict=True)]
    assert held_by(own) == [False, True, False, False]  # the keypoint filter does not keep the first
    methods = main_rows(SHORT, ContactSource())
    scores = {
        "no_contact": _scores([0.2, 0.15, 0.1, 0.1]),
        "automatic": own,
        "truth": _scores([0.05] * 4),
    }
    text = main_report(methods, scores, 20.0)
    part = text[text.index("## Where contacts held") : text.index("## By interaction")]
    assert "keeps 1 of 4 scenes (25 %)" in part and part.count("automatic under no_contact") == 1
    assert "| automatic under no_contact | 33.3 [" in part and "truth under" not in part


def test_a_beginning_of_the_scenes_holds_every_type(made_scenes: list[TruthScene]) -> None:
    many = [*made_scenes[:1] * 3, *made_scenes[1:2] * 2, made_scenes[2]]
    assert [s.interaction for s in spread_over_types(many)] == [
        "handshake", "pat", "support", "handshake", "pat", "handshake",
    ]  # fmt: skip
    assert len(spread_over_types(many, 4)) == 4


def test_the_heuristic_needs_no_labels(made_scenes: list[TruthScene]) -> None:
    method = Method("heuristic", "heuristic", with_heuristic(SHORT, 1e4))
    plain = Method("no_contact", "no contact", SHORT.without("contact"))
    runner = MethodRunner(made_scenes[:1], block=1)
    near, far = (runner.run([m])[m.key][0] for m in (method, plain))
    assert near.joint_pa != far.joint_pa and not near.failed
