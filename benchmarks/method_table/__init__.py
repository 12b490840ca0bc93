"""Every method of the paper's tables on synthetic scenes, with intervals, resumable."""

from __future__ import annotations

from method_table.contacts import ContactSource, contacts_of
from method_table.convergence import Trace, trace
from method_table.methods import (
    Method,
    ablation_rows,
    estimator_rows,
    keypoint_rows,
    main_rows,
    preset_rows,
    sweep_rows,
    with_heuristic,
    without_contact,
)
from method_table.run import MethodRunner, spread_over_types
from method_table.scores import SceneScores, score
from method_table.statistics import Interval, bootstrap, difference, reduction

__all__ = [
    "ContactSource",
    "Interval",
    "Method",
    "MethodRunner",
    "SceneScores",
    "Trace",
    "ablation_rows",
    "bootstrap",
    "contacts_of",
    "difference",
    "estimator_rows",
    "keypoint_rows",
    "main_rows",
    "preset_rows",
    "reduction",
    "score",
    "spread_over_types",
    "sweep_rows",
    "trace",
    "with_heuristic",
    "without_contact",
]
