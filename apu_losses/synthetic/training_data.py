"""The data sets that a training names, read from wherever they are."""

from __future__ import annotations

from pathlib import Path

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting import SceneFitter
from apu_losses.fitting.result.pairs import read_fitted_pairs
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.pairs import PairSet, read_pairs
from apu_losses.prior.sources import read_buddi_pairs, read_mocap_pairs
from apu_losses.prior.training.config import DataSource
from apu_losses.prior.training.mixture import CodedSet
from apu_losses.synthetic.pairs import pairs_of_scenes
from apu_losses.synthetic.scene_file import load_truth_scenes, read_truth_scenes


def read_source(source: DataSource, body: BodyModel) -> PairSet:
    """Return the pairs of one data set.

    Raises:
        FileNotFoundError, ValueError: its file is missing, or holds something else.
    """
    if source.kind == "synthetic":
        split = source.path or "development"
        named = split in ("development", "held_out", "all")
        scenes = load_truth_scenes(split) if named else read_truth_scenes(split)
        return pairs_of_scenes(scenes, SceneFitter(body), seeds=range(source.seeds))
    path = Path(source.path)
    if source.kind == "fits":
        return read_fitted_pairs(path, kept_only=source.kept_only)
    if source.kind == "mocap":
        return read_mocap_pairs(path)
    return read_pairs(path) if source.kind == "pairs" else read_buddi_pairs(path)


def coded(source: DataSource, pairs: PairSet, body: BodyModel) -> CodedSet:
    """Return pairs as what a training takes."""
    codes, estimates = pairs.codes(body, PriorLayout.of_body(body))
    return CodedSet(codes, estimates, source.share)
