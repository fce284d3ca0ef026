"""The tutorial's protocol: split, schedule, momentum, evaluation, resumption."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from accel_core import convolutional as conv
from report import mnist as tutorial

SMALL = {"seed": 3, "steps": 9, "batch": 8}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other are slow on a busy machine, and these tests are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> tutorial.Digits:
    """Random images of MNIST's shape, 40 to train on and 20 to test: no digits."""
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (65, 28, 28), dtype=np.uint8)
    labels = source.integers(0, 10, 65)
    return tutorial.Digits.tutorial(images[:45], labels[:45], images[45:], labels[45:], held_out=5)


def test_schedule_and_minibatches_are_the_tutorials():
    spec = tutorial.Convolutional(factored=False, seed=0)
    assert tutorial.learning_rate(spec, 859, 55_000) == 0.01  # 859·64 = 54,976
    assert tutorial.learning_rate(spec, 860, 55_000) == pytest.approx(0.0095)
    assert tutorial.learning_rate(spec, 8_593, 55_000) == pytest.approx(0.01 * 0.95**9)
    assert tutorial.minibatch(0, 64, 55_000) == slice(0, 64)
    assert tutorial.minibatch(858, 64, 55_000) == slice(54_912, 54_976)
    assert tutorial.minibatch(859, 64, 55_000) == slice(40, 104)  # 54,976 mod 54,936


def test_images_are_scaled_and_the_first_ones_held_out():
    images = np.zeros((6, 28, 28), np.uint8)
    images[4, 0, 0] = 255
    split = tutorial.Digits.tutorial(images, np.arange(6), images[:2], np.arange(2), held_out=4)
    assert split.train.shape == (2, 1, 28, 28)
    assert split.train[0, 0, 0, 0] == 0.5
    assert split.train[1].unique() == -0.5
    assert split.train_labels.tolist() == [4, 5]
    assert len(split.test) == 2
    assert (
        len(tutorial.Digits.tutorial(np.zeros((5001, 28, 28)), np.zeros(5001), *split[2:]).train)
        == 1
    )


@pytest.mark.parametrize(
    ("factored", "penalty"), [(False, "product"), (True, "product"), (True, "factors")]
)
def test_steps_equal_momentum_written_out(digits, factored, penalty):
    """Three steps by hand: v ← 0.9 v + g, w ← w − lr v; the rate falls at step 5 = 40 / 8."""
    spec = tutorial.Convolutional(factored=factored, penalty=penalty, **SMALL)
    run = tutorial.Training(spec, digits)
    network = conv.ConvolutionalNetwork(factored=factored, generator=generator(2 * spec.seed))
    masks = generator(2 * spec.seed + 1)
    weights = list(network.parameters())
    velocity = [torch.zeros_like(weight) for weight in weights]
    for step in range(7):
        first = step * 8 % 32
        keep = 2.0 * (torch.rand((8, 512), generator=masks) >= 0.5)
        logits = network(digits.train[first : first + 8], keep)
        entropy = functional.cross_entropy(logits, digits.train_labels[first : first + 8])
        decay = 5e-4 * network.penalty(penalty)
        gradient = torch.autograd.grad(entropy + decay, weights)
        rate = 0.01 if step < 5 else 0.0095
        with torch.no_grad():
            velocity = [0.9 * v + g for v, g in zip(velocity, gradient, strict=True)]
            for weight, v in zip(weights, velocity, strict=True):
                weight -= rate * v
        run.advance(step + 1)
        torch.testing.assert_close(run.losses[step], torch.stack([entropy, decay]).detach())
    for mine, theirs in zip(run.network.parameters(), weights, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_without_penalty_and_dropout_the_loss_is_the_cross_entropy_alone(digits):
    bare = tutorial.Convolutional(factored=True, penalty="none", dropout=0.0, **SMALL)
    run = tutorial.Training(bare, digits)
    with torch.no_grad():
        logits = run.network(digits.train[:8])
        expected = functional.cross_entropy(logits, digits.train_labels[:8])
    run.advance(1)
    assert run.losses[0].tolist() == [float(expected), 0.0]
    assert run.network.biases[0].grad is not None


def test_evaluation_is_of_all_images_without_dropout_once_an_epoch(digits):
    spec = tutorial.Convolutional(factored=False, **(SMALL | {"steps": 15}), evaluate_every=2)
    run = tutorial.Training(spec, digits)
    run.advance(10)  # 80 images: two epochs of 40
    ((epoch, *values),) = run.epochs
    assert epoch == 2
    with torch.no_grad():
        for images, labels, accuracy, entropy in (
            (digits.train, digits.train_labels, *values[:2]),
            (digits.test, digits.test_labels, *values[2:]),
        ):
            logits = run.network(images)
            assert accuracy == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
            assert entropy == pytest.approx(float(functional.cross_entropy(logits, labels)))
    run.advance(15)
    assert [row[0] for row in run.epochs] == [2]


def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(digits):
    spec = tutorial.Convolutional(factored=True, penalty="factors", **SMALL)
    whole, first, resumed = (tutorial.Training(spec, digits) for _ in range(3))
    whole.advance(spec.steps)
    first.advance(6)  # after the first epoch's evaluation
    resumed.load_state_dict(first.state_dict())
    resumed.advance(spec.steps)
    assert torch.equal(resumed.losses, whole.losses) and resumed.epochs == whole.epochs
    for mine, theirs in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_diverging_run_names_its_iteration_and_stops(digits, monkeypatch):
    monkeypatch.setattr(tutorial, "CHUNK", 2)
    spec = tutorial.Convolutional(factored=False, rate=1e6, **SMALL)
    run = tutorial.train(spec, digits)
    assert run.diverged_at is not None
    assert run.step < spec.steps
    assert torch.isfinite(run.losses[: run.diverged_at]).all()
    assert not torch.isfinite(run.losses[run.diverged_at].sum())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"penalty": "weights"}, "'weights'; allowed: product, factors, none"),
        ({"penalty": "factors"}, "ask for penalty='product'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"rate": 0.0}, "rate is 0.0"),
    ],
)
def test_bad_settings_are_named(setting, words):
    with pytest.raises(ValueError, match=words):
        tutorial.Convolutional(factored=False, seed=0, **setting)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # that switching oneDNN off speaks of
@pytest.mark.parametrize("other", ["oneDNN off"] + ["cuda"] * torch.cuda.is_available())
@pytest.mark.parametrize("penalty", ["product", "factors"])
def test_other_float32_arithmetic_gives_the_same_losses(digits, other, penalty):
    """Same start, same dropout, sums in another order: CPU without oneDNN; a GPU where one is."""
    spec = tutorial.Convolutional(factored=True, penalty=penalty, **(SMALL | {"steps": 5}))
    here = tutorial.train(spec, digits)
    with torch.backends.mkldnn.flags(enabled=other != "oneDNN off"):
        there = tutorial.train(spec, digits, device="cuda" if other == "cuda" else "cpu")
    loss, same = here.losses.sum(1), there.losses.cpu().sum(1)
    assert (same / loss - 1).abs().max() < 1e-3
