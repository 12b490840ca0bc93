"""Losses as modules: moved, copied, pickled, saved and trained in parallel, they compute the same."""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import pytest
import torch
from loss_toys import icosphere, toy_bodies, toy_map, toy_regions

import apu_losses as al
from apu_losses import modules
from apu_losses.functional import PoseMixture

BALL, FACES = icosphere(0.3, (0.0, 0.0, 0.0), 1)
REGIONS = toy_regions()
MAP = toy_map()
A, B = BALL[None], BALL[None] + torch.tensor([0.4, 0.05, 0.0])
CLOUDS = toy_bodies(2)
POSE = torch.linspace(-0.4, 0.4, 63, dtype=torch.float64)[None]
MIXTURE = PoseMixture(
    torch.zeros(2, 63, dtype=torch.float64),
    torch.eye(63, dtype=torch.float64).expand(2, 63, 63).contiguous(),
    torch.zeros(2, dtype=torch.float64),
)
JOINTS = torch.arange(12.0).reshape(1, 6, 2)

# a module, and what it is called with
CASES = {
    "SoftContactLoss": (lambda: al.SoftContactLoss(REGIONS), (CLOUDS[:1], CLOUDS[1:], MAP)),
    "SoftContactLoss soft": (lambda: al.SoftContactLoss(REGIONS, soft=0.01), (CLOUDS[:1], CLOUDS[1:], MAP)),
    "MinimumDistanceLoss": (lambda: al.MinimumDistanceLoss(FACES), (A, B)),
    "PenetrationLoss": (lambda: al.PenetrationLoss(FACES, template=BALL), (A, B)),
    "SelfPenetrationLoss": (lambda: al.SelfPenetrationLoss(FACES, template=BALL), (A,)),
    "KeypointReprojectionLoss": (
        lambda: al.KeypointReprojectionLoss(robust=50.0),
        (JOINTS + 3, JOINTS, torch.ones(1, 6), torch.ones(1)),
    ),
    "PosePrior": (al.PosePrior, (POSE,)),
    "PosePrior mixture": (lambda: al.PosePrior(MIXTURE), (POSE,)),
    "InitialPosePrior": (
        lambda: al.InitialPosePrior(joint_weights=torch.linspace(1, 2, 21)),
        (POSE, torch.zeros_like(POSE)),
    ),
    "ShapePrior": (al.ShapePrior, (torch.ones(2, 10),)),
}

each_module = pytest.mark.parametrize("case", CASES)
each_state = pytest.mark.parametrize("called", [False, True], ids=["new", "called before"])


def test_each_public_module_is_among_them():
    assert {case.split()[0] for case in CASES} == set(modules.__all__)


@pytest.mark.parametrize("name", modules.__all__)
def test_only_the_first_argument_goes_in_by_position(name):
    parameters = inspect.signature(getattr(modules, name)).parameters.values()
    assert sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters) <= 1


@each_module
@each_state
def test_a_copy_and_a_pickle_compute_the_same(case, called):
    make, arguments = CASES[case]
    module, expected = make(), make()(*arguments)
    if called:
        module(*arguments)
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(again(*arguments), expected)
        assert str(again) == str(module)


@each_module
def test_a_saved_state_is_loaded_without_trust(case):
    make, arguments = CASES[case]
    module = make()
    module(*arguments)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    again = make()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again(*arguments), module(*arguments))


@each_module
def test_a_call_does_not_change_the_state(case):
    make, arguments = CASES[case]
    module = make()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    attributes = {name: id(value) for name, value in vars(module).items()}
    module(*arguments)
    assert {name: id(value) for name, value in vars(module).items()} == attributes
    assert module.state_dict().keys() == before.keys()
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())


@each_module
def test_every_tensor_that_a_module_keeps_itself_moves_with_it(case):
    module = CASES[case][0]().to("meta")
    loose = [name for name, value in vars(module).items() if isinstance(value, torch.Tensor)]
    assert not loose  # as a plain attribute it would stay behind
    assert all(value.device.type == "meta" for value in module.state_dict().values())


def test_what_was_laid_out_on_a_device_is_not_carried_into_a_copy():
    """The reader of a pickle need not have the device: what was copied there is made again."""
    elsewhere = torch.empty(1, len(BALL), 3, device="meta")
    loss = al.PenetrationLoss(FACES, template=BALL)
    loss._mesh.of(elsewhere)
    own = al.SelfPenetrationLoss(FACES, template=BALL)
    own.skin.around(0, torch.device("meta"))
    contact = al.SoftContactLoss(REGIONS)
    contact(CLOUDS[:1], CLOUDS[1:], MAP)
    for module in (loss, own, contact):
        assert b"meta" not in pickle.dumps(module)
    assert contact.__getstate__()["_laid_out"] == []
    assert len(contact._laid_out) == 1  # the original keeps its own


class Regressor(torch.nn.Module):
    """One number to learn, and every loss that sees bodies inside of the module, as users nest them."""

    def __init__(self) -> None:
        super().__init__()
        self.step = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.penetration = al.PenetrationLoss(FACES)
        self.distance = al.MinimumDistanceLoss(FACES)
        self.prior = al.PosePrior(MIXTURE)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.penetration(a, b + self.step).sum() + self.distance(a, b + self.step).sum()


def test_it_trains_in_parallel_like_alone(tmp_path):
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    alone = Regressor()
    alone(A, B).backward()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(Regressor())
        parallel(A, B).backward()
    finally:
        distributed.destroy_process_group()
    assert torch.equal(parallel.module.step.grad, alone.step.grad)
    assert alone.step.grad.abs().sum() > 0
