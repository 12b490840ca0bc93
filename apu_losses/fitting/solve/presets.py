"""Presets by name. They are data: print one, change it, save it as JSON.

What the paper leaves open is decided in docs/decisions.md; the numbers that it gives stand here as given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from apu_contacts.reading import read_json
from apu_losses.fitting.body_parameters import HAND_POSES
from apu_losses.fitting.solve.stage import Preset, Stage

SQUARE_CENTIMETRES = 1e4
"""The paper's lambda_C = 1.0, read in square centimetres, for a loss in square metres."""


def paper() -> Preset:
    """Ask, Pose, Unite as printed: two stages of at most 1000 steps, hard minimum over every region pair."""
    contact = 1.0 * SQUARE_CENTIMETRES
    first = {"keypoints": 0.02, "contact": contact, "initial_pose": 200.0, "pose_prior": 4.0, "shape": 40.0}
    second = {
        "keypoints": 0.02,
        "contact": contact,
        "initial_pose": 200.0,
        "pose_prior": 4.0,
        "penetration": 10.0,
    }
    return Preset(
        name="paper",
        terms={
            "keypoints": {"hands": 0.0},
            "contact": {"over": "pairs"},
            "initial_pose": {},
            "pose_prior": {},
            "shape": {},
            "penetration": {"target": "vertex", "energy": "quartic"},
        },
        stages=_two_stages(first, second),
        description="The method as the paper prints it; docs/decisions.md says how its gaps were filled.",
    )


def flickr_fits() -> Preset:
    """BUDDI's fits to human-annotated contact maps: quartic chamfer over all vertices of the regions."""
    first = {"keypoints": 0.04, "contact": 10.0, "initial_pose": 200.0, "pose_prior": 4.0, "shape": 40.0}
    second = {
        "keypoints": 0.1,
        "contact": 10.0,
        "initial_pose": 200.0,
        "pose_prior": 4.0,
        "penetration": 1000.0,
    }
    return Preset(
        name="flickr_fits",
        terms={
            "keypoints": {"hands": 0.0},
            "contact": {"over": "pairs", "mode": "chamfer_quartic"},
            "initial_pose": {},
            "pose_prior": {},
            "shape": {},
            "penetration": {"target": "vertex", "energy": "quartic"},
        },
        stages=_two_stages(first, second),
        description="BUDDI's weights for human contact maps, restated over all vertices, not 40 drawn ones.",
    )


def heuristic() -> Preset:
    """BUDDI's baseline without contact labels: the paper's preset, the nearest points in place of the map.

    The weights are those of BUDDI's ``heuristic_02b``, the one of its heuristics that shares the paper's
    lambda_J = 0.02 in both stages.
    """
    plain = paper().without("contact").weighted(minimum_distance=1.0 * SQUARE_CENTIMETRES)
    return Preset(
        "heuristic",
        {**plain.terms, "minimum_distance": {"between": "edges"}},
        plain.stages,
        plain.filter_pixels,
        "BUDDI's baseline that knows who touches, not where: the nearest two points are pulled together.",
    )


def no_contact() -> Preset:
    """Return the paper's preset without contact and without penetration: each person by their keypoints
    alone.
    """
    plain = paper().without("contact", "penetration")
    return Preset(
        "no_contact", plain.terms, plain.stages, plain.filter_pixels, "The baseline: keypoints and priors."
    )


def best() -> Preset:
    """Return what measured best so far on four real pairs (docs/measurements/fitting.md has the figures)."""
    moves = ("global_orient", "body_pose", "betas", "transl")
    weights = {
        "keypoints": 0.035,
        "contact": 1.2e5,
        "initial_pose": 230.0,
        "pose_prior": 1.0,
        "hand_pose": 1.0,
        "orientation": 400.0,
        "shape": 100.0,  # lighter, second-order steps buy contact with bodies of skin and bone
        "stature": 2.0,
        "depth_order": 5e3,  # of scenes that say who is in front; a word may be wrong
    }
    near = {**weights, "contact": 3.5e5}
    placed = {"keypoints": weights["keypoints"], "contact": 1e3, "penetration": 3e2, "depth_order": 5e3}
    unshaped = tuple(name for name in moves if name != "betas")
    return Preset(
        name="best",
        terms={
            "keypoints": {"confidence_power": 2.0},
            # a map without groups, as a human annotates it, has one group a pair: then this is "pairs"
            "contact": {"over": "parts", "robust": 0.1},
            "initial_pose": {"spine": 4.0},
            "pose_prior": {},
            "hand_pose": {},
            "orientation": {},
            "shape": {"around": "start", "first": 0.0},
            "stature": {},
            "depth_order": {},
            # the way that it came in: the nearest surface may be that of the far side
            "penetration": {"target": "entry", "energy": "l2"},
        },
        stages=(
            # people who start far apart, or in each other, move as wholes before any limb does
            replace(
                _soft_contact("place", placed, ("transl",), 0.01, 6, robust=1.0),
                relative_slope=1e-2,
                free_where_seen=(),
            ),
            # second-order steps from the start, each of which must help: large ones of Adam through
            # overlapping bodies end in other places for a last bit. From afar they would hold on too early
            # to the vertices that happen to be nearest, so contact begins light and soft, and lets go late:
            # with 10 cm, as later, it would let go of what starts apart before anybody had moved
            _soft_contact(
                "soft contact", {**weights, "contact": 1e4}, moves, 0.01, 12, damping=1.0, robust=0.2
            ),
            _soft_contact("contact", {**weights, "contact": 4e4}, moves, 0.001, 8),
            # only now: bodies that may not pass through each other stay on the wrong side of each other.
            # Shapes are held from here on: bodies that lie deep in each other would get thin to come apart
            # (on eight photographs one lost 78 % of its volume, and now none loses more than 3 %)
            # With half of these steps one of four real pairs stayed locked in each other without contact
            _second_order("light penetration", {**weights, "penetration": 1e3}, unshaped, 16),
            # what is firm pushes to the nearest surface: by now little is past a middle, and the way in jumps
            # where vertices come and go, so that it hung on last bits which steps helped
            _to_the_surface(_second_order("firm penetration", {**near, "penetration": 3e3}, unshaped, 12)),
            _to_the_surface(_second_order("penetration", {**near, "penetration": 3e4}, unshaped, 20)),
        ),
        description="Our own: robust contact that hardens, stature in centimetres, a firm spine; damped "
        "Gauss-Newton with penetration that hardens. Tuned on four real pairs and synthetic scenes of the "
        "development types.",
    )


def good_start() -> Preset:
    """Return `best` for estimates that are right to 6 cm and better: people stay near how they start.

    The weights were chosen on 20 scenes of the development types (docs/measurements/method_table.md).
    """
    held = best().weighted(initial_place=3e3, initial_pose=4 * 230.0, orientation=4 * 400.0)
    return Preset(
        "good_start",
        {**held.terms, "initial_place": {}},
        held.stages,
        held.filter_pixels,
        "`best` for estimates better than those of 2022: holds places, poses and orientations of the start.",
    )


def best_hands() -> Preset:
    """Return `best` and one stage more, in which hands close around whom a contact says that they touch.

    Bodies stand by then, and only fingers move. The weights were chosen on the hand around a forearm of
    tests/fitting/test_grip.py (docs/measurements/fitting.md).
    """
    whole = best()
    last = whole.stages[-1]
    fingers = replace(
        last,
        name="fingers",
        weights={**last.weights, "grip": 1e5, "finger_limits": 100.0},
        free=HAND_POSES,
        free_where_seen=(),
        max_iterations=30,
    )
    return Preset(
        "best_hands",
        {**whole.terms, "grip": {}, "finger_limits": {}},
        (*whole.stages, fingers),
        whole.filter_pixels,
        "`best`, and then fingers that close around whom their hand is said to touch.",
    )


def prior() -> Preset:
    """Return the paper's preset for pictures without contact maps: a prior of two people in place of contact.

    The weights are those of BUDDI's ``buddi_cond_bev``: no mixture of poses, no pull of the shape to
    the mean, noise at t = 10.
    """
    first = {"keypoints": 0.02, "initial_pose": 200.0, "prior": 100.0}
    second = {**first, "penetration": 10.0}
    return Preset(
        name="prior",
        terms={
            "keypoints": {"hands": 0.0},
            "initial_pose": {},
            "prior": {"t": 10, "pose": 1.0, "shape": 0.1, "transl": 100.0, "squared": False},
            "penetration": {"target": "vertex", "energy": "quartic"},
        },
        stages=tuple(replace(stage, max_iterations=100) for stage in _two_stages(first, second)),
        description="The paper's fits without contact maps: a learned prior of two people guides them.",
    )


def _soft_contact(
    name: str,
    weights: dict[str, float],
    free: tuple[str, ...],
    soft: float,
    steps: int,
    damping: float = 0.1,
    robust: float = 0.1,
) -> Stage:
    """Return a stage of Levenberg-Marquardt of `best` whose contact is a soft minimum, square metres."""
    stage = _second_order(name, weights, free, steps, damping)
    return replace(stage, options={"contact": {"soft": soft, "robust": robust}})


def _to_the_surface(stage: Stage) -> Stage:
    """Return the stage with a penetration that pushes to the nearest surface."""
    return replace(stage, options={**stage.options, "penetration": {"target": "surface"}})


def _second_order(
    name: str, weights: dict[str, float], free: tuple[str, ...], steps: int, damping: float = 0.1
) -> Stage:
    """Return a stage of Levenberg-Marquardt of `best`."""
    return Stage(
        name,
        weights,
        free,
        0.0,
        steps,
        relative_slope=3e-4,
        free_where_seen=HAND_POSES,
        optimizer="levenberg_marquardt",
        damping=damping,
    )


_PRESETS: dict[str, Callable[[], Preset]] = {
    "paper": paper,
    "flickr_fits": flickr_fits,
    "heuristic": heuristic,
    "no_contact": no_contact,
    "best": best,
    "good_start": good_start,
    "best_hands": best_hands,
    "prior": prior,
}
PRESET_NAMES: tuple[str, ...] = tuple(_PRESETS)


def load_preset(name_or_path: str | Path) -> Preset:
    """Return a preset by name, or from a JSON file that `Preset.to_dict` filled.

    Raises:
        ValueError: neither a known name nor a file that holds a preset.

    Example:
        >>> from apu_losses import load_preset
        >>> preset = load_preset("paper")
        >>> preset.name, [stage.name for stage in preset.stages], preset.terms["contact"]
        ('paper', ['pose and shape', 'penetration'], {'over': 'pairs'})
    """
    name = str(name_or_path)
    if name in _PRESETS:
        return _PRESETS[name]()
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        try:
            return Preset.from_dict(read_json(path))
        except ValueError as error:
            said = str(error)
            raise ValueError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    raise ValueError(f"no preset {name!r}; there is {', '.join(PRESET_NAMES)}, or the path of a .json file")


def _two_stages(first: dict[str, float], second: dict[str, float]) -> tuple[Stage, Stage]:
    """Return the schedule of BUDDI and the paper: shape moves in stage 1 only, penetration in stage 2
    only.
    """
    return (
        Stage(
            "pose and shape",
            first,
            ("body_pose", "betas", "transl"),
            0.01,
            1000,
            relative_slope=None,
            absolute_slope=1e-4,
        ),
        Stage(
            "penetration",
            second,
            ("body_pose", "transl"),
            0.001,
            1000,
            relative_slope=None,
            absolute_slope=1e-4,
            reference="stage",
        ),
    )
