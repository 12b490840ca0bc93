"""A pair has the same numbers wherever it is, and a prior knows no left, right or first."""

from __future__ import annotations

import copy

import pytest
import roma
import torch
from prior_pairs import code_of, drawn_people, turned

from apu_losses.bodies import load_body
from apu_losses.prior import (
    ContactPrior,
    CosineSchedule,
    GaussianDesign,
    PriorLayout,
    bodies_of,
    make_network,
)
from apu_losses.prior.representation import matrix_of, six_of

SMALL = {"width": 32, "layers": 2, "heads": 2, "hidden": 48}


@pytest.fixture(scope="module")
def people():
    return drawn_people(6)


@pytest.fixture(scope="module")
def code(body, layout, people):
    return code_of(body, layout, *people)


@pytest.fixture(scope="module", params=["buddi", "gaussian"])
def prior(request, layout, code):
    if request.param == "gaussian":
        network = GaussianDesign(layout).double()
        network.fit(code, code + 0.1 * torch.sin(torch.arange(code.numel())).reshape(code.shape))
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = make_network("buddi", layout, CosineSchedule(), SMALL).double()
            for layer in network.layers:  # as training would: it starts without a difference
                torch.nn.init.normal_(layer.bias)
    return ContactPrior(layout, network)


def mirrored(person, layout):
    """The mirror image in the plane x = 0 of the frame."""
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    return {
        **person,
        "global_orient": person["global_orient"] * flip,
        "body_pose": layout.mirrored_pose(person["body_pose"]),
        "transl": person["transl"] * -flip,
    }


def test_a_pair_moved_and_turned_has_the_same_numbers(body, layout, people, code):
    turn = roma.rotvec_to_rotmat(torch.tensor([0.3, 1.1, -0.4]).double())
    shift = torch.tensor([1.0, -2.0, 0.5]).double()
    moved = [turned(p, body, layout, turn, shift) for p in people]
    torch.testing.assert_close(code_of(body, layout, *moved), code, atol=1e-9, rtol=0)
    # and that it was moved as a rigid body, people of different size together
    before, after = (torch.cat([body.pose(p).joints for p in two]) for two in (people, moved))
    torch.testing.assert_close(after, before @ turn.T + shift, atol=1e-9, rtol=0)


def test_exchanged_people_exchange_the_rows(body, layout, people, code):
    torch.testing.assert_close(code_of(body, layout, *people[::-1]), code.flip(1), atol=1e-12, rtol=0)


def test_the_mirror_image_of_the_numbers_is_that_of_the_bodies(body, layout, people, code):
    image = [mirrored(p, layout) for p in people]
    torch.testing.assert_close(code_of(body, layout, *image), layout.mirror(code), atol=1e-3, rtol=0)
    torch.testing.assert_close(layout.mirror(layout.mirror(code)), code, atol=0, rtol=0)
    left, right = (body.joint_names.index(f"{side}_wrist") for side in ("left", "right"))
    one, other = (body.pose(p[0]).joints for p in (people, image))
    flip = torch.tensor([-1.0, 1.0, 1.0]).double()
    assert (one[:, left] * flip - other[:, right]).abs().max() < 2e-3


def test_bodies_of_numbers_have_these_numbers(body, layout, people, code):
    params = bodies_of(layout, code, body)
    a, b = ({n: v[k::2] for n, v in params.items()} for k in (0, 1))
    torch.testing.assert_close(code_of(body, layout, a, b), code, atol=1e-9, rtol=0)
    gone = (params["transl"][0::2] + params["transl"][1::2]).norm(dim=1)
    assert gone.max() < 1.0  # about the origin


def test_what_the_two_say_of_each_other_is_averaged(body, layout, code):
    wrong = code.clone()
    wrong[:, 0, layout.slices["transl"]] += 0.1  # a errs about b, b not about a
    exchanged = bodies_of(layout, wrong.flip(1), body)
    kept = bodies_of(layout, wrong, body, None)
    apart = [(p["transl"][1::2] - p["transl"][0::2]).norm(dim=1) for p in (kept, exchanged)]
    torch.testing.assert_close(apart[0], apart[1], atol=1e-2, rtol=0.05)


def test_six_numbers_of_a_rotation_give_it_back():
    turns = roma.random_rotmat(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(matrix_of(six_of(turns)), turns, atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix_of(3 * six_of(turns)), turns, atol=1e-12, rtol=0)


@pytest.mark.parametrize("told", [True, False])
def test_a_prior_knows_no_first_and_no_side(prior, layout, code, told):
    t = torch.arange(6) * 150
    seen = code + 0.05 if told else None
    swapped = seen.flip(1) if told else None
    image = layout.mirror(seen) if told else None
    found = prior.denoise(code, t, seen)
    assert (found - code).abs().max() > 1e-3  # it says something
    torch.testing.assert_close(prior.denoise(code.flip(1), t, swapped), found.flip(1), atol=1e-9, rtol=0)
    there = prior.denoise(layout.mirror(code), t, image)
    torch.testing.assert_close(there, layout.mirror(found), atol=1e-9, rtol=0)


def test_targets_know_no_first_and_no_side_either(prior, layout, code):
    noise = torch.randn(layout.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = prior.target(code, code + 0.05, 100, noise)
    exchanged = prior.target(code.flip(1), code.flip(1) + 0.05, 100, noise)
    torch.testing.assert_close(exchanged, found.flip(1), atol=1e-9, rtol=0)
    image = prior.target(layout.mirror(code), layout.mirror(code + 0.05), 100, noise)
    torch.testing.assert_close(image, layout.mirror(found), atol=1e-9, rtol=0)


def test_the_people_are_told_apart(prior, code):
    """Not by order: but what one is does not pass for what the other is."""
    t = torch.full((6,), 100)
    mixed = code.clone()
    mixed[:, 0, :126] = code[:, 1, :126]
    assert (prior.denoise(mixed, t) - prior.denoise(code, t)).abs().max() > 1e-3


def test_one_pair_is_the_same_in_any_company(prior, layout, code):
    code = code.float()
    alone = ContactPrior(layout, copy.deepcopy(prior.network).float())  # the others keep their digits
    noise = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    everybody = alone.target(code, code + 0.05, 100, noise)
    for row in range(6):
        own = code[row : row + 1]
        assert torch.equal(alone.target(own, own + 0.05, 100, noise)[0], everybody[row])


def test_other_bodies_have_their_own_numbers():
    layout = PriorLayout(("left_hip", "right_hip", "spine"), (("phenotypes", 6),))
    assert layout.sizes == {"pose": 18, "shape": 6, "orient": 6, "transl": 3}
    assert layout.opposite == (1, 0, 2)
    assert PriorLayout(("spine",), ()).sizes == {"pose": 6, "orient": 6, "transl": 3}
    assert PriorLayout.from_dict(layout.to_dict()) == layout
    free = PriorLayout.of_body(load_body("free"))
    with pytest.raises(ValueError, match="trained for another body"):
        layout.check(free, "mine")


def test_the_noise_of_a_fit_drives_nobody_along(layout, code):
    """Of a design that is linear nothing is left of it, however little it takes for noise."""
    network = GaussianDesign(layout).double()
    network.fit(code, code + 0.1 * torch.sin(torch.arange(code.numel())).reshape(code.shape))
    prior = ContactPrior(layout, network)
    found = [
        prior.target(code, code + 0.05, 300, noise)
        for noise in (torch.zeros(layout.size).double(), torch.ones(layout.size).double())
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-9, rtol=0)
