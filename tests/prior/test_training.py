"""Training: to the bit where it was stopped, the same in two processes, and from files of others."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from prior_pairs import code_of, drawn_people, pair_set

from apu_contacts.sources import UnsafePickleError
from apu_losses.bodies import load_body
from apu_losses.prior import ContactPrior, PriorLayout, load_prior, read_prior
from apu_losses.prior.pairs import PairSet, read_pairs
from apu_losses.prior.sources import read_buddi_pairs, read_mocap_pairs
from apu_losses.prior.training.config import DataSource, LossWeights, TrainConfig
from apu_losses.prior.training.loop import STATE_FILE, overfit, train
from apu_losses.prior.training.mixture import CodedSet, counts_of, draw_batch, step_generator
from apu_losses.prior.training.objective import distance_field_loss, guess_loss

TINY = {"width": 16, "layers": 1, "heads": 2, "hidden": 24}


def config(**changes):
    given = {
        "data": (DataSource("pairs", "pairs.npz"),),
        "network": TINY,
        "steps": 6,
        "batch": 8,
        "every": 2,
        "average": 0.5,
    }
    return TrainConfig(**{**given, **changes})


@pytest.fixture(scope="module")
def single():
    return load_body("free")


@pytest.fixture(scope="module")
def sets(single):
    codes, estimates = pair_set(12).codes(single, PriorLayout.of_body(single))
    return [CodedSet(codes, estimates, 0.6), CodedSet(codes[:5] + 0.01, None, 0.4)]


def weights_of(trained):
    return trained.prior.network.state_dict()


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(sets, single, tmp_path):
    whole = train(config(), sets, single, tmp_path / "whole")
    for until in (1, 3, 6):
        parts = train(config(), sets, single, tmp_path / "parts", until=until)
    assert parts.steps == whole.steps == 6
    for name, value in weights_of(whole).items():
        assert torch.equal(value, weights_of(parts)[name]), name
    states = [(tmp_path / folder / STATE_FILE).read_bytes() for folder in ("whole", "parts")]
    assert states[0] == states[1]
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 6 and lines[-1]["loss"] > 0


def test_a_folder_of_another_training_is_refused(sets, single, tmp_path):
    train(config(steps=1), sets, single, tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        train(config(steps=1, learning_rate=1.0), sets, single, tmp_path)


SHARED = """
import sys
from prior_pairs import pair_set
from apu_losses.bodies import load_body
from apu_losses.prior import PriorLayout
from apu_losses.prior.training.config import DataSource, TrainConfig
from apu_losses.prior.training.loop import train
from apu_losses.prior.training.mixture import CodedSet
body = load_body("free")
codes, estimates = pair_set(12).codes(body, PriorLayout.of_body(body))
network = {"width": 16, "layers": 1, "heads": 2, "hidden": 24, "dropout": 0.0}
config = TrainConfig(data=(DataSource("pairs", "pairs.npz"),), network=network, steps=4, batch=8, average=0.5)
train(config, [CodedSet(codes, estimates)], body, sys.argv[1])
"""


@pytest.mark.long
def test_two_processes_learn_what_one_does(single, tmp_path):
    """Gloo on this machine: each works on half of every batch, and the gradients are averaged."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = tmp_path / "shared.py"
    script.write_text(SHARED)
    helpers = os.pathsep.join(path for path in sys.path if path)
    running = []
    for rank in ("0", "1"):
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        environment = {
            **os.environ,
            **told,
            "MASTER_PORT": port,
            "PYTHONPATH": helpers,
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, str(script), str(tmp_path / "two")]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    codes, estimates = pair_set(12).codes(single, PriorLayout.of_body(single))
    own = config(network={**TINY, "dropout": 0.0}, steps=4, every=500)
    alone = train(own, [CodedSet(codes, estimates)], single, tmp_path / "one")
    two = read_prior(tmp_path / "two" / "prior.safetensors")
    for name, value in weights_of(alone).items():
        torch.testing.assert_close(two.network.state_dict()[name], value, atol=2e-5, rtol=1e-4)


@pytest.mark.long
def test_learning_by_heart_is_seen(sets, single, tmp_path):
    wide = {"width": 64, "layers": 2, "heads": 4, "hidden": 96}
    own = config(network=wide, steps=300, batch=16, learning_rate=2e-3, every=300, average=0.9)
    done, error = overfit(own, sets, single, tmp_path, 2)
    assert done.steps == 300 and error < 0.1


def test_every_loss_is_0_at_the_truth_and_is_felt(single, sets):
    layout = PriorLayout.of_body(single)
    truth = sets[0].pairs[:2].clone()
    names = ("pose", "orient", "shape", "transl", "joints", "vertices", "distances")
    weights = LossWeights(**dict.fromkeys(names, 1.0), points=20)
    none = guess_loss(truth, truth, layout, weights, single)
    assert set(none) == set(names) and all(float(v) < 1e-8 for v in none.values())
    guess = (truth + 0.05).requires_grad_()
    for name, value in guess_loss(guess, truth, layout, weights, single).items():
        (gradient,) = torch.autograd.grad(value, guess, retain_graph=True)
        assert float(value.detach()) > 0 and gradient.isfinite().all() and gradient.abs().max() > 0, name
    # a mean over pairs: the size of a batch does not weigh
    twice = guess_loss(torch.cat([guess, guess]), torch.cat([truth, truth]), layout, weights, single)
    once = guess_loss(guess, truth, layout, weights, single)
    for name, value in once.items():
        torch.testing.assert_close(twice[name], value, rtol=1e-4, atol=0)


def test_penetration_is_felt_by_people_in_each_other(single):
    layout = PriorLayout.of_body(single)
    a, b = ({n: v.float() for n, v in p.items()} for p in drawn_people(1))
    for person in (a, b):
        person["global_orient"] = torch.zeros(1, 3)
    b["transl"] = a["transl"] + 0.15
    code = code_of(single, layout, a, b).requires_grad_()
    only = LossWeights(0, 0, 0, 0, penetration=1.0)
    found = guess_loss(code, code.detach(), layout, only, single)["penetration"]
    (gradient,) = torch.autograd.grad(found, code)
    assert float(found) > 0 and gradient[..., layout.slices["transl"]].abs().max() > 0


def test_distances_count_by_how_near_they_are():
    truth = torch.tensor([[[[0.0, 0, 0]], [[0.0, 0, 0.1]]], [[[0.0, 0, 0]], [[0.0, 0, 5.0]]]])
    guess = truth + torch.tensor([[[[0.0, 0, 0]], [[0.0, 0, 0.2]]]])
    torch.testing.assert_close(distance_field_loss(guess, truth), torch.full((2,), 0.04))
    near_and_far = torch.tensor([[[[0.0, 0, 0], [0, 0, 0]], [[0.0, 0, 0.1], [0, 0, 1.1]]]])
    moved = near_and_far.clone()
    moved[:, 1, 0, 2] += 0.1  # the near one is wrong
    other = near_and_far.clone()
    other[:, 1, 1, 2] += 0.1  # the far one is
    assert distance_field_loss(moved, near_and_far) > 1000 * distance_field_loss(other, near_and_far)


def test_a_batch_has_the_shares_of_the_mixture(sets):
    assert counts_of([0.4, 0.2, 0.2, 0.2], 512) == [205, 103, 102, 102]
    assert sum(counts_of([1, 1, 1], 100)) == 100
    layout = PriorLayout(tuple(f"j{i}" for i in range(21)), (("betas", 10), ("age", 1)))
    drawn = draw_batch(sets, layout, 1000, 1000, 0.2, 0.1, step_generator(0, 0))
    again = draw_batch(sets, layout, 1000, 1000, 0.2, 0.1, step_generator(0, 0))
    assert torch.equal(drawn.noise, again.noise) and torch.equal(drawn.known, again.known)
    assert not drawn.known[600:].any()  # they have no estimates
    whole = drawn.known[:600].flatten(1)
    assert 0.15 < float((~whole.any(1)).float().mean()) < 0.26
    assert 0.62 < float(whole.all(1).float().mean()) < 0.78
    parts = [drawn.part(rank, 2).t for rank in (0, 1)]
    assert torch.equal(torch.stack(parts, 1).flatten(), drawn.t)


def test_a_prior_survives_its_file(sets, single, tmp_path):
    for design in ("buddi", "gaussian"):
        own = config(design=design, network=TINY if design == "buddi" else {}, steps=1)
        done = train(own, sets, single, tmp_path / design)
        back = load_prior(done.path)
        assert back.layout == done.prior.layout and back.about["config"]["design"] == design
        x, t = sets[0].pairs[:3], torch.tensor([5, 50, 500])
        assert torch.equal(back.denoise(x, t, x), done.prior.denoise(x, t, x))
        shape = back.sample(2, torch.Generator().manual_seed(0), times=[900, 500, 100]).shape
        assert shape == (2, 2, 146)
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a prior's"):
        load_prior(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no prior 'smplx'; there is free"):
        load_prior("smplx")


def test_dropout_is_off_in_a_prior(sets, single, tmp_path):
    prior = train(config(steps=1), sets, single, tmp_path).prior
    assert isinstance(prior, ContactPrior) and not prior.network.training
    prior.network.train()  # whoever meddles
    x, t = sets[0].pairs[:2], torch.tensor([10, 10])
    assert torch.equal(prior.denoise(x, t), prior.denoise(x, t)) and not prior.network.training


def test_pairs_survive_a_file(tmp_path):
    pairs = pair_set(3)
    pairs.save(tmp_path / "pairs.npz")
    back = read_pairs(tmp_path / "pairs.npz")
    assert back.labels == pairs.labels and len(back) == 3
    for name, value in pairs.params.items():
        np.testing.assert_allclose(back.params[name], value, atol=1e-6)
        np.testing.assert_allclose(back.estimates[name], pairs.estimates[name], atol=1e-6)
    joined = PairSet.joined([pairs, pairs.only([0])])
    assert len(joined) == 4 and joined.labels[3] == pairs.labels[0]
    with pytest.raises(ValueError, match=r"params\['betas'\] must be \(3, 2, size\)"):
        PairSet({**pairs.params, "betas": np.zeros((3, 10))})
    with pytest.raises(ValueError, match="not finite"):
        PairSet({**pairs.params, "transl": np.full((3, 2, 3), np.nan)})
    other = PairSet({**pairs.params, "body_pose": np.zeros((3, 2, 69))})
    body = load_body("free")
    with pytest.raises(ValueError, match="has 69 values a person"):
        other.codes(body, PriorLayout.of_body(body))


def test_files_as_buddi_has_them_are_read(tmp_path):
    pairs = pair_set(2)
    record = {name: pairs.params[name][0] for name in ("global_orient", "body_pose", "transl", "betas")}
    record["body_pose"] = record["body_pose"].reshape(2, 21, 3)
    record["scale"] = pairs.params["age"][0]
    record |= {f"bev_{n}": pairs.estimates[n][0] for n in ("global_orient", "body_pose", "transl", "betas")}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"image": "x.png", "humans": record}, protocol=4))
    frames = {f"smplx_{n}": pairs.params[n] for n in ("global_orient", "body_pose", "transl", "betas")}
    np.savez(tmp_path / "b.npz", **{n: np.concatenate([v, v[:1]]) for n, v in frames.items()})
    found = read_buddi_pairs(tmp_path)
    assert len(found) == 4 and found.labels == ("a", "b", "b", "b")
    np.testing.assert_allclose(found.params["body_pose"][0], pairs.params["body_pose"][0])
    np.testing.assert_allclose(found.params["age"][0], pairs.params["age"][0])
    np.testing.assert_allclose(found.params["transl"][1:3], pairs.params["transl"])
    (only,) = read_buddi_pairs(tmp_path / "a.pkl").estimates["transl"]
    np.testing.assert_allclose(only, pairs.estimates["transl"][0])


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"body_pose": Evil()}))
    with pytest.raises(UnsafePickleError):
        read_buddi_pairs(tmp_path)


def test_a_folder_without_pairs_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \.npz and no \.pkl"):
        read_buddi_pairs(tmp_path)
    np.savez(tmp_path / "x.npz", body_pose=np.zeros((2, 63)))
    with pytest.raises(ValueError, match="no record holds global_orient"):
        read_buddi_pairs(tmp_path)


def test_motion_capture_is_read(tmp_path):
    numbers = np.arange(3 * 2 * 69, dtype=np.float64).reshape(3, 2, 69) / 1000
    passed = np.array([True, False, True])
    np.savez(
        tmp_path / "m.npz", cleaned=numbers, retargeted=numbers, betas=np.zeros((3, 2, 10)), passed=passed
    )
    found = read_mocap_pairs(tmp_path / "m.npz")
    assert len(found) == 2 and found.estimates is None
    np.testing.assert_allclose(found.params["transl"][1], numbers[2, :, 66:])
    assert len(read_mocap_pairs(tmp_path / "m.npz", cleaned=False)) == 3


def test_a_configuration_is_read_and_its_mistakes_are_named(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('steps = 5\n[network]\nwidth = 96\n[losses]\ntransl = 7\n[[data]]\nkind = "synthetic"\n')
    found = TrainConfig.load(file)
    assert (found.steps, found.network, found.losses.transl) == (5, {"width": 96}, 7)
    assert TrainConfig.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    for text, said in {
        "stepps = 5": "unknown stepps; known are average",
        "steps = true": "steps must be a int, got True",
        '[[data]]\nkind = "films"': "data.kind must be one of synthetic",
        '[[data]]\nkind = "fits"': "needs a path",
        "steps = 5": "data is empty",
        'design = "x"\n[[data]]\nkind = "synthetic"': "design must be one of buddi, gaussian",
        "steps = [": "not TOML",
    }.items():
        file.write_text(text)
        with pytest.raises(ValueError, match=said) as error:
            TrainConfig.load(file)
        assert str(file) in str(error.value)
