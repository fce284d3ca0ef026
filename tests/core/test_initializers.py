"""Each initializer against its formula; which of them are balanced; what a start depends on."""

import numpy as np
import pytest
import torch
from scipy import stats

from accel_core.engine.autograd import LinearNetwork
from accel_core.initializers import (
    Balanced,
    EndToEndOf,
    IdentityOffset,
    NearZero,
    SemiOrthogonal,
    TorchDefault,
    factor_balanced,
)
from accel_core.models import Architecture, balancedness, end_to_end
from accel_core.training import Run

SIZES = (40, 30, 50, 20)


def draw(initializer, sizes=SIZES, seed=0):
    return initializer(sizes, np.random.default_rng(seed))


def looks_like(values, distribution):
    """Kolmogorov and Smirnov's test at a level that a right distribution fails for one seed in a
    million; the seeds are fixed, so the outcome is too."""
    return stats.kstest(np.ravel(values), distribution).pvalue > 1e-6


@pytest.mark.parametrize(
    "initializer", [NearZero(), IdentityOffset(), SemiOrthogonal(), TorchDefault(), Balanced()]
)
def test_weights_have_the_layers_shapes(initializer):
    assert [W.shape for W in draw(initializer)] == [(30, 40), (50, 30), (20, 50)]
    assert [b.shape for b in initializer.biases(SIZES, np.random.default_rng(0))] == [
        (30,), (50,), (20,),
    ]  # fmt: skip


@pytest.mark.parametrize("std", [0.01, 2.0])
def test_near_zero_is_gaussian_with_its_standard_deviation(std):
    for W in draw(NearZero(std)):
        assert looks_like(W, stats.norm(0, std).cdf)
        assert not looks_like(W, stats.norm(0, 2 * std).cdf)  # the test would notice
        # a sample's standard deviation has the standard error σ/√(2n)
        assert abs(W.std() - std) < 4 * std / np.sqrt(2 * W.size)
    assert all(np.all(b == 0) for b in NearZero(std).biases(SIZES, np.random.default_rng(0)))


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (1, 9), (9, 1), (5, 5)])
def test_identity_offset_is_near_zero_plus_one_on_the_main_diagonal(shape):
    noise = NearZero(0.1).weight(shape, np.random.default_rng(5))
    W = IdentityOffset(0.1).weight(shape, np.random.default_rng(5))
    one = np.array([[float(i == j) for j in range(shape[1])] for i in range(shape[0])])
    assert np.array_equal(W, one + noise)
    assert np.array_equal(IdentityOffset(0).weight(shape, np.random.default_rng(5)), one)


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (1, 9), (9, 1), (5, 5), (1, 1)])
def test_semi_orthogonal_has_orthonormal_rows_or_columns_whichever_are_fewer(shape):
    W = SemiOrthogonal().weight(shape, np.random.default_rng(1))
    gram = W @ W.T if shape[0] <= shape[1] else W.T @ W
    assert np.abs(gram - np.eye(min(shape))).max() < 1e-14


def test_semi_orthogonal_is_uniform():
    # Under the Haar measure an entry of a 3 × 3 orthogonal matrix is uniform in [−1, 1]
    # (Archimedes: a coordinate of a point on the sphere), the diagonal too: without the correction
    # of signs, QR's diagonal would not be symmetric.
    rng = np.random.default_rng(2)
    drawn = np.array([SemiOrthogonal().weight((3, 3), rng) for _ in range(4_000)])
    for i in range(3):
        assert looks_like(drawn[:, i, i], stats.uniform(-1, 2).cdf)
    assert looks_like(drawn[:, 0, 2], stats.uniform(-1, 2).cdf)


def test_torchs_default_is_uniform_within_torchs_own_bounds():
    rng = np.random.default_rng(3)
    weights = draw(TorchDefault())
    biases = TorchDefault().biases(SIZES, rng)
    for n, W, b in zip(SIZES, weights, biases, strict=False):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = torch.nn.Linear(n, 4_000)
        for ours, theirs in ((W, layer.weight), (b, layer.bias)):
            # the largest of many uniform draws lies just below the bound
            assert np.abs(ours).max() == pytest.approx(theirs.abs().max().item(), rel=0.12)
            assert np.abs(ours).max() <= 1 / np.sqrt(n)
        assert looks_like(W, stats.uniform(-1 / np.sqrt(n), 2 / np.sqrt(n)).cdf)
    many = np.concatenate(
        [TorchDefault().biases((25, 25), np.random.default_rng(s))[0] for s in range(80)]
    )
    assert looks_like(many, stats.uniform(-1 / 5, 2 / 5).cdf)


@pytest.mark.parametrize(
    "sizes", [(7, 1, 1), (7, 1, 1, 1, 1), (9, 4, 6, 3), (5, 5, 5), (4, 9, 9, 6)]
)
@pytest.mark.parametrize("std", [0.01, 1.0, 10.0])
def test_balanced_is_balanced_and_has_the_drawn_end_to_end_matrix(sizes, std):
    weights = draw(Balanced(std), sizes, 4)
    product = end_to_end(weights)
    scale = max(np.linalg.norm(W) ** 2 for W in weights)
    assert balancedness(weights) < 1e-14 * max(scale, 1)
    wanted = std * np.random.default_rng(4).standard_normal((sizes[-1], sizes[0]))
    assert np.abs(product - wanted).max() < 1e-14 * max(np.linalg.norm(wanted), 1)


@pytest.mark.parametrize(
    ("initializer", "sizes", "balanced"),
    [(Balanced(1.0), (6, 4, 5, 3), True), (IdentityOffset(0), (5, 5, 5), True),
     (IdentityOffset(0), (6, 4, 5, 3), False), (IdentityOffset(0.1), (5, 5, 5), False),
     (SemiOrthogonal(), (5, 5, 5), True), (SemiOrthogonal(), (6, 4, 5, 3), False),
     (NearZero(0.01), (6, 4, 5, 3), False), (NearZero(0), (6, 4, 5, 3), True),
     (TorchDefault(), (6, 4, 5, 3), False)],
)  # fmt: skip
def test_which_are_balanced(initializer, sizes, balanced):
    distance = balancedness(draw(initializer, sizes))
    assert (distance < 1e-13) == balanced
    assert distance < 1e-13 or distance > 1e-5


def test_a_hidden_width_below_the_rank_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"hidden width 2 is below the rank 3.*at least 3"):
        draw(Balanced(), (7, 2, 5, 3))
    rank_two = np.outer([1.0, 2, 3], np.ones(7)) + np.outer([0.0, 1, -1], np.arange(7.0))
    weights = factor_balanced(rank_two, (7, 2, 5, 3), np.random.default_rng(0))
    assert np.allclose(end_to_end(weights), rank_two, atol=1e-13)
    assert balancedness(weights) < 1e-13


def test_zero_can_be_factored():
    assert np.all(
        end_to_end(factor_balanced(np.zeros((2, 4)), (4, 3, 2), np.random.default_rng(0))) == 0
    )


def test_end_to_end_of_is_the_product_of_near_zero_weights_of_the_same_seed():
    wanted = end_to_end(draw(NearZero(0.2), (6, 4, 4, 2), 8))
    (W,) = draw(EndToEndOf(0.2, depth=3, width=4), (6, 2), 8)
    assert np.allclose(W, wanted, rtol=1e-13)
    (other,) = draw(EndToEndOf(0.2, depth=3, width=4, independent=True), (6, 2), 8)
    assert np.abs(other - wanted).min() > 0
    with pytest.raises(ValueError, match="starts a single layer, and there are 2"):
        draw(EndToEndOf(), (6, 4, 2))


def test_an_end_to_end_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3, 4\).*\(2, 4\)"):
        factor_balanced(np.zeros((3, 4)), (4, 3, 2), np.random.default_rng(0))


@pytest.mark.parametrize("std", [-0.1, np.nan, np.inf])
def test_a_standard_deviation_that_is_none_is_refused(std):
    with pytest.raises(ValueError, match=f"std={std!r}.*not negative"):
        NearZero(std)


def test_a_start_depends_on_the_seed_and_not_on_the_rate():
    runs = [
        Run(3, 4, True, TorchDefault(), seed, rate=rate) for seed in (0, 1) for rate in (1e-3, 5)
    ]
    zero, zero_too, one, one_too = (r.architecture.start(r.start, r.seed, 6, 2) for r in runs)
    assert np.array_equal(zero, zero_too) and np.array_equal(one, one_too)
    assert np.abs(zero - one).min() > 0


def test_the_flat_order_is_torchs_order():
    architecture = Architecture(3, 4, True)
    flat = architecture.start(TorchDefault(), 0, 6, 2)
    model = LinearNetwork(architecture, 6, 2).load_flat(flat)
    weights, biases = architecture.unpack(flat, 6, 2)
    for layer, W, b in zip(model, weights, biases, strict=True):
        assert np.array_equal(layer.weight.detach().numpy(), W)
        assert np.array_equal(layer.bias.detach().numpy(), b)
    assert np.array_equal(model.flat(), flat)
    assert len(flat) == architecture.count(6, 2)
    x = np.linspace(-1, 1, 6)
    W = end_to_end(weights, biases)
    out = model(torch.as_tensor(x)).detach().numpy()
    assert np.allclose(W[:, :-1] @ x + W[:, -1], out, rtol=1e-13)
