"""The evaluations of the paper and of its field, for whoever holds the data sets.

`evaluate_fits` measures folders of fits by a protocol; `Evaluation.write` prints the field's tables with the
own rows. The command is ``apu evaluate``.
"""

from apu_losses.evaluation.bootstrap import Interval, bootstrap, mean_over
from apu_losses.evaluation.datasets import (
    ContactRule,
    chi3d_frames,
    contact_frames,
    flickr_frames,
    hi4d_frames,
    ntu_frames,
)
from apu_losses.evaluation.fits import FitFolder, read_fit
from apu_losses.evaluation.frames import FittedPair, TruthFrame, TruthSet
from apu_losses.evaluation.handedness import handedness
from apu_losses.evaluation.joint_sets import LIMBS, LSP14, NamedJoints, RegressedJoints, load_regressor
from apu_losses.evaluation.measures import (
    FrameRecord,
    Measuring,
    MethodRecords,
    measure_frame,
    measure_method,
)
from apu_losses.evaluation.protocols import PROTOCOLS, Choice, Protocol
from apu_losses.evaluation.published import PublishedTable, published_tables, tables_of
from apu_losses.evaluation.report import Evaluation, field_table
from apu_losses.evaluation.run import evaluate_fits
from apu_losses.evaluation.smpl_mesh import SmplToBody
from apu_losses.evaluation.summary import METRICS, Resampling, compare, mean_of
from apu_losses.evaluation.tables import FORMATS, Table

__all__ = [
    "FORMATS",
    "LIMBS",
    "LSP14",
    "METRICS",
    "PROTOCOLS",
    "Choice",
    "ContactRule",
    "Evaluation",
    "FitFolder",
    "FittedPair",
    "FrameRecord",
    "Interval",
    "Measuring",
    "MethodRecords",
    "NamedJoints",
    "Protocol",
    "PublishedTable",
    "RegressedJoints",
    "Resampling",
    "SmplToBody",
    "Table",
    "TruthFrame",
    "TruthSet",
    "bootstrap",
    "chi3d_frames",
    "compare",
    "contact_frames",
    "evaluate_fits",
    "field_table",
    "flickr_frames",
    "handedness",
    "hi4d_frames",
    "load_regressor",
    "mean_of",
    "mean_over",
    "measure_frame",
    "measure_method",
    "ntu_frames",
    "published_tables",
    "read_fit",
    "tables_of",
]
