"""Options of modules are refused when they are built, not in a training step."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from loss_toys import icosphere

from apu_contacts import RegionMap
from apu_losses import (
    InitialPosePrior,
    KeypointReprojectionLoss,
    PenetrationLoss,
    SelfPenetrationLoss,
    SoftContactLoss,
)
from apu_losses.functional.options import check_choice, check_number

REGIONS = RegionMap.load("free")
BALL, FACES = icosphere(0.3, (0, 0, 0), subdivisions=1)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: SoftContactLoss(REGIONS, over="limbs"), "over must be 'pairs' or 'parts', got 'limbs'"),
        (lambda: SoftContactLoss(REGIONS, order="any"), "order must be 'given' or 'either', got 'any'"),
        (lambda: SoftContactLoss(REGIONS, mode="max"), "mode must be"),
        (lambda: PenetrationLoss(FACES, target="bone"), "target must be .*, got 'bone'"),
        (lambda: PenetrationLoss(FACES, energy="l1"), "energy must be 'l2' or 'quartic', got 'l1'"),
        (lambda: PenetrationLoss(FACES, mutual="one"), "mutual must be True or False, got 'one'"),
        (lambda: SelfPenetrationLoss(FACES, template=BALL, energy="l1"), "energy must be"),
        (lambda: KeypointReprojectionLoss(robust=-3.0), "robust must be a positive number, got -3.0"),
        (lambda: InitialPosePrior(metric="chordal"), "metric must be"),
    ],
)
def test_a_module_refuses(build, said):
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize("value", [True, "1", None, float("inf"), float("nan"), torch.tensor(1.0)])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match="x must be a finite number"):
        check_number("x", value)


def test_numbers_and_words_that_pass():
    check_number("x", -2)
    check_number("x", 0.5, positive=True)
    check_choice("x", "a", Literal["a", "b"])
