"""Presets as data: names, files, changes, and what they refuse."""

import json
from dataclasses import replace

import pytest
from fitting_scenes import pair

from apu_contacts import ContactMap
from apu_losses.bodies import load_body
from apu_losses.fitting import PRESET_NAMES, Preset, Stage, load_preset
from apu_losses.fitting.solve.registry import build_terms


def stage(**options):
    return Stage(
        **{
            "name": "s",
            "weights": {},
            "free": ("transl",),
            "learning_rate": 0.1,
            "max_iterations": 1,
            **options,
        }
    )


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_survives_a_json_file(name, tmp_path):
    preset = load_preset(name)
    path = tmp_path / "preset.json"
    path.write_text(json.dumps(preset.to_dict()))
    back = load_preset(path)
    assert back == preset
    assert back.description == preset.description
    assert back.stages[0].free == preset.stages[0].free


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_runs(name, fitter_of, body):
    preset = load_preset(name)
    short = Preset.from_dict(
        {**preset.to_dict(), "stages": [{**s, "max_iterations": 3} for s in preset.to_dict()["stages"]]}
    )
    (result,) = fitter_of(short).fit([pair(body, gap=-0.1)])
    assert [s.iterations for s in result.stages] == [3] * len(preset.stages)
    assert [set(s.terms) for s in result.stages] == [set(s.weights) for s in preset.stages]
    assert not result.failed and result.stages[0].loss > 0
    assert result.stages[0].loss == pytest.approx(sum(result.stages[0].terms.values()), rel=1e-5)


def test_a_saved_preset_is_the_one_that_is_loaded(tmp_path):
    mine = load_preset("best").weighted(stature=8.0)
    mine.save(tmp_path / "mine.json")
    assert load_preset(tmp_path / "mine.json") == mine != load_preset("best")


def test_over_parts_follows_the_map(fitter_of, body):
    """`best` takes contacts over parts: without groups, each pair is one."""
    best = load_preset("best")
    assert best.terms["contact"]["over"] == "parts"
    short = replace(best, stages=(replace(best.stages[0], max_iterations=3, options={}),))
    grouped = pair(body, gap=0.1)
    loose = pair(body, gap=0.1, map=grouped.contacts[0].contacts.merged())
    values = [
        fitter_of(short.with_options("contact", over=over)).fit([scene])[0].stages[0].terms["contact"]
        for over in ("parts", "pairs")
        for scene in (loose, grouped)
    ]
    assert values[0] == values[2] == values[3] > values[1]


def test_numbers_that_the_paper_prints():
    first, second = load_preset("paper").stages
    assert (first.weights["keypoints"], first.weights["initial_pose"]) == (0.02, 200.0)
    assert (first.weights["pose_prior"], first.weights["shape"]) == (4.0, 40.0)
    assert first.weights["contact"] == 1e4  # 1.0 a square centimetre
    assert "penetration" not in first.weights and second.weights["penetration"] == 10.0
    assert "betas" in first.free and "betas" not in second.free


def test_the_heuristic_is_the_paper_with_the_nearest_points_for_the_map(fitter_of, body):
    paper, heuristic = load_preset("paper"), load_preset("heuristic")
    for ours, theirs in zip(paper.stages, heuristic.stages, strict=True):
        swapped = {("minimum_distance" if k == "contact" else k): v for k, v in ours.weights.items()}
        assert theirs.weights == swapped and theirs.free == ours.free
    short = replace(heuristic, stages=(replace(heuristic.stages[0], max_iterations=60),))
    apart = pair(body, gap=0.1, map=ContactMap.empty())
    (result,) = fitter_of(short).fit([apart])
    assert result.stages[0].terms["minimum_distance"] < 10  # from 20 cm, lambda d^2 = 400, to under 3 cm


def test_without_takes_a_term_out_of_every_stage():
    preset = load_preset("paper")
    less = preset.without("contact", "shape")
    assert set(less.terms) == set(preset.terms) - {"contact", "shape"}
    for before, after in zip(preset.stages, less.stages, strict=True):
        assert dict(after.weights) == {
            k: v for k, v in before.weights.items() if k not in ("contact", "shape")
        }
    assert "contact" in less.name and "contact" in preset.terms
    with pytest.raises(ValueError, match=r"no term.*hair"):
        preset.without("hair")


def test_without_takes_out_a_term_of_the_callers_own():
    preset = load_preset("paper").weighted(mine=2.0)
    assert all("mine" not in stage.weights for stage in preset.without("mine").stages)


def test_weighted_reaches_every_stage_and_leaves_the_original():
    preset = load_preset("paper")
    changed = preset.weighted(contact=7.0, mine=2.0)
    assert all(s.weights["contact"] == 7.0 and s.weights["mine"] == 2.0 for s in changed.stages)
    assert all("mine" not in s.weights and s.weights["contact"] == 1e4 for s in preset.stages)


def test_a_built_in_term_is_added_by_its_weight():
    preset = load_preset("paper").weighted(facing=3.0)
    assert build_terms(preset, {})["facing"].within == 0.1
    assert build_terms(preset.with_options("facing", within=0.2), {})["facing"].within == 0.2


def test_what_moves_can_be_freed_and_held():
    best = load_preset("best")
    freed = best.freed("age", "left_hand_pose")
    placing, *others = freed.stages
    # people are placed as wholes, and age does not buy what shape may not buy
    assert placing == best.stages[0] and placing.free == ("transl",)
    assert [s.name for s in others if "age" in s.free] == ["soft contact", "contact"]
    assert [s.name for s in others if "age" in s.free] == [s.name for s in others if "betas" in s.free]
    assert all("left_hand_pose" in s.free and s.free_where_seen == ("right_hand_pose",) for s in others)
    shapeless = best.held("betas")
    assert [s.name for s in shapeless.freed("age").stages if "age" in s.free] == [s.name for s in others]
    assert freed.freed("age") == freed and freed.terms == best.terms
    held = freed.held("age", "right_hand_pose", "global_orient")
    assert all(set(s.free) <= {"body_pose", "betas", "transl", "left_hand_pose"} for s in held.stages)
    assert not any(s.free_where_seen for s in held.stages)
    assert [s.free for s in best.held("betas").stages] == [
        tuple(n for n in s.free if n != "betas") for s in best.stages
    ]
    with pytest.raises(ValueError, match=r"\['hair'\] move in no stage; what moves is"):
        best.held("hair")
    with pytest.raises(ValueError, match="free names no parameter"):
        best.held("global_orient", "body_pose", "betas", "transl")


@pytest.mark.parametrize("wrong", ["agee", "", 3, ["age"], None])
def test_what_no_body_has_is_not_freed(wrong):
    with pytest.raises(ValueError, match="parameters must be names of body parameters") as told:
        load_preset("best").freed("transl", wrong)
    assert f"got [{wrong!r}]" in str(told.value) and "'age'" in str(told.value)


def test_every_parameter_of_every_body_is_freed():
    """And one that a preset moves already, whoever's it is."""
    paper = load_preset("paper")
    for name in sorted({*load_body().parameter_specs, "phenotypes", "expression"}):
        assert any(name in stage.free for stage in paper.freed(name).stages), name
    own = replace(paper, stages=(replace(paper.stages[0], free=("transl", "tail")), paper.stages[1]))
    assert all("tail" in stage.free for stage in own.freed("tail").stages)


def test_with_options_changes_one_term():
    preset = load_preset("paper")
    changed = preset.with_options("contact", over="parts", robust=0.1)
    assert changed.terms["contact"] == {"over": "parts", "robust": 0.1}
    assert preset.terms["contact"] == {"over": "pairs"}
    assert build_terms(changed, {})["contact"].robust == 0.1
    with pytest.raises(ValueError, match="no term 'hair'"):
        preset.with_options("hair", colour="brown")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": {"contact": -1.0}}, r"negative.*contact"),
        ({"weights": {"contact": float("nan")}}, r"contact"),
        ({"max_iterations": -1}, "max_iterations must be >= 0"),
        ({"window": 2}, "window >= 3"),
        ({"window": 20.5}, "whole numbers, got 1 and 20.5"),
        ({"weights": {"contact": "high"}}, r"contact.*'high'"),
        ({"learning_rate": -0.1}, "learning_rate.*-0.1"),
        ({"learning_rate": "fast"}, "learning_rate.*'fast'"),
        ({"absolute_slope": float("inf")}, "absolute_slope"),
        ({"free": "transl"}, "list of names, got 'transl'"),
        ({"free": ("transl", "transl")}, "twice"),
        ({"reference": "yesterday"}, "'start' or 'stage', got 'yesterday'"),
        ({"free": ()}, "free"),
    ],
)
def test_a_stage_refuses(options, said):
    with pytest.raises(ValueError, match=said):
        stage(**options)


def test_two_stages_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two stages.*'s'"):
        Preset("twice", {}, (stage(), stage()))


def test_unknown_terms_options_and_presets_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"names the term 'hair'.*contact"):
        build_terms(Preset("p", {"hair": {}}, ()), {})
    with pytest.raises(ValueError, match=r"'contact' has no option \['colour'\].*robust"):
        build_terms(Preset("p", {"contact": {"colour": 1}}, ()), {})
    with pytest.raises(ValueError, match=r"stage 's'.*weighs \['mine'\]"):
        build_terms(Preset("p", {}, (stage(weights={"mine": 1.0}),)), {})
    with pytest.raises(ValueError, match=r"no preset 'good'; there is paper"):
        load_preset("good")
    with pytest.raises(ValueError, match="around must be 'zero' or 'start'"):
        build_terms(Preset("p", {"shape": {"around": "here"}}, ()), {})


@pytest.mark.parametrize(
    ("term", "options", "said"),
    [
        ("contact", {"over": "limbs"}, "over must be 'pairs' or 'parts', got 'limbs'"),
        ("contact", {"robust": "0.1"}, "robust must be a positive number, got '0.1'"),
        ("contact", {"robust": 0.0}, "robust must be a positive number, got 0.0"),
        ("contact", {"over": "pairs", "soft": 0.01}, "needs over='parts'"),
        ("contact", {"mode": "chamfer_quartic", "robust": 0.1}, "mode='min' only"),
        ("keypoints", {"hands": None}, "hands must be a finite number, got None"),
        ("keypoints", {"robust": -3}, "robust must be a positive"),
        ("penetration", {"target": "bone"}, "target must be .*'entry', got 'bone'"),
        ("self_penetration", {"apart": True}, "apart must be a positive number, got True"),
        ("initial_pose", {"metric": "chordal"}, "metric must be"),
        ("facing", {"within": float("nan")}, "within must be a positive number"),
        ("ground", {"robust": 0}, "robust must be a positive"),
        ("depth_order", {"margin": -0.1}, "margin must be a positive"),
        ("shape", {"first": "no"}, "first must be a finite number"),
    ],
)
def test_options_are_refused_when_a_preset_is_read(term, options, said):
    with pytest.raises(ValueError, match=f"preset 'p': the term '{term}': .*{said}"):
        build_terms(Preset("p", {term: options}, ()), {})


def test_a_term_of_the_callers_that_no_stage_weighs_is_refused():
    own = {"mine": lambda state: state.per_scene(state.stature)}
    with pytest.raises(ValueError, match=r"\['mine'\] have no weight.*preset.weighted\(mine=1.0\)"):
        build_terms(load_preset("best"), own)
    assert "mine" in build_terms(load_preset("best").weighted(mine=0.0), own)


@pytest.mark.parametrize("limit", [0, -1.0, "20"])
def test_a_filter_must_have_a_limit(limit):
    with pytest.raises(ValueError, match="filter_pixels must be a positive number"):
        replace(load_preset("best"), filter_pixels=limit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1|Expecting"),
        ("[]", "not a preset"),
        ('{"name": "p", "terms": {}}', "stages"),
        ('{"name": "p", "terms": {}, "stages": [], "speed": 3}', "speed"),
        ('{"name": "p", "terms": {}, "stages": [{"name": "s", "steps": 3}]}', "steps"),
        ('{"name": "p", "terms": {}, "stages": 4}', "not a preset"),
        ('{"name": "p", "terms": 4, "stages": []}', "not a preset"),
    ],
)
def test_a_file_that_is_no_preset_says_which_and_why(text, said, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        load_preset(path)
    assert "bad.json" in str(caught.value)


def test_a_stage_may_have_other_options_of_a_term(fitter_of, body):
    """At the start the soft minimum over a part's region pairs lies between their smallest and their mean."""
    best = load_preset("best")
    scene = pair(body, gap=0.1)

    def first_loss(**options):
        stage = replace(best.stages[0], weights={"contact": 1.0}, max_iterations=1, options=options)
        return fitter_of(replace(best, stages=(stage,))).fit([scene])[0].stages[0].loss

    hard, soft = first_loss(), first_loss(contact={"soft": 1e-2})
    assert first_loss(contact={"soft": 1e-9}) == pytest.approx(hard, rel=1e-3)
    assert hard < soft < first_loss(contact={"soft": 1e3})
    over_pairs = best.with_options("contact", over="pairs")  # soft says nothing there, and is left out
    fitter_of(over_pairs)


def test_options_of_a_stage_are_checked_before_anything_is_fitted(fitter_of):
    best = load_preset("best")
    stage = replace(best.stages[0], options={"contact": {"softness": 1.0}})
    with pytest.raises(ValueError, match=r"stage 'place': the term 'contact'.*softness"):
        fitter_of(replace(best, stages=(stage,)))
    misspelt = replace(best.stages[0], options={"contacts": {"soft": 1.0}})
    with pytest.raises(ValueError, match=r"has options of \['contacts'\]"):
        fitter_of(replace(best, stages=(misspelt,)))
    wrong = replace(best.stages[0], options={"contact": {"soft": -1.0}})
    with pytest.raises(ValueError, match="soft must be a positive number"):
        fitter_of(replace(best, stages=(wrong,)))


def test_every_step_of_best_must_help():
    """Large steps that are taken whatever comes of them end elsewhere for a last bit."""
    assert {stage.optimizer for stage in load_preset("best").stages} == {"levenberg_marquardt"}
