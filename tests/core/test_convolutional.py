"""The convolutional network: shapes, start, penalty, and what it computes."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from accel_core import convolutional as conv

IMAGES = torch.rand((7, 1, 28, 28), generator=torch.Generator().manual_seed(8)).double() - 0.5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_shapes_and_numbers_of_parameters():
    original = conv.ConvolutionalNetwork(factored=False, generator=generator())
    factored = conv.ConvolutionalNetwork(factored=True, generator=generator())
    shapes = [[tuple(factor.shape) for factor in layer] for layer in original.dense]
    assert shapes == [[(512, 3136)], [(10, 512)]]
    shapes = [[tuple(factor.shape) for factor in layer] for layer in factored.dense]
    assert shapes == [[(512, 3136), (512, 512)], [(10, 512), (10, 10)]]
    # 5·5·32 + 32, 5·5·32·64 + 64, 3136·512 + 512, 512·10 + 10
    assert count(original) == 832 + 51_264 + 1_606_144 + 5_130
    assert count(factored) - count(original) == 512**2 + 10**2
    assert [conv.parameters(factored=value) for value in (False, True)] == [
        count(original),
        count(factored),
    ]


def test_networks_of_one_seed_share_all_draws_but_those_of_the_added_matrices():
    original = conv.ConvolutionalNetwork(factored=False, generator=generator(5))
    factored = conv.ConvolutionalNetwork(factored=True, generator=generator(5))
    for mine, other in zip(original.kernels, factored.kernels, strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(original.dense, factored.dense, strict=True):
        assert torch.equal(mine[0], other[0])
    assert [float(bias.detach().unique()) for bias in original.kernel_biases] == [
        0.0,
        pytest.approx(0.1),
    ]
    assert all(bias.detach().unique().item() == pytest.approx(0.1) for bias in original.biases)


def test_truncated_normal_is_bounded_and_keeps_the_bulk():
    draws = conv.truncated_normal((200_000,), 0.1, generator(1))
    assert draws.abs().max() <= 0.2
    assert draws.abs().max() > 0.199
    # Var of N(0, 1) given |x| ≤ 2 is 1 − 2·2φ(2)/(2Φ(2) − 1); the sample's std is within 1 % of it.
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(math.sqrt(2))
    assert draws.std() == pytest.approx(0.1 * math.sqrt(1 - 4 * density / inside), rel=0.01)


def test_dense_std_is_that_of_all_dense_factors_and_of_nothing_else():
    default = conv.ConvolutionalNetwork(factored=True, generator=generator(2))
    other = conv.ConvolutionalNetwork(factored=True, generator=generator(2), dense_std=0.001)
    for mine, theirs in zip(default.dense.parameters(), other.dense.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine / 100)
    assert torch.equal(default.kernels[1], other.kernels[1])


def test_a_factored_network_computes_what_its_collapsed_network_computes():
    factored = conv.ConvolutionalNetwork(factored=True, generator=generator()).double()
    collapsed = conv.ConvolutionalNetwork(factored=False, generator=generator(9)).double()
    with torch.no_grad():
        for mine, theirs in zip(collapsed.kernels, factored.kernels, strict=True):
            mine.copy_(theirs)
        for mine, theirs in zip(collapsed.dense, factored.dense, strict=True):
            mine[0].copy_(theirs[1] @ theirs[0])
        images = IMAGES
        # Sums of 3136 products in another order, in float64.
        torch.testing.assert_close(factored(images), collapsed(images), rtol=1e-11, atol=1e-11)
        assert float(collapsed.penalty("product")) == pytest.approx(
            float(factored.penalty("product")), rel=1e-12
        )


def test_the_network_is_the_tutorials_written_out():
    """Each operation in NumPy and SciPy: correlation, ReLU, maxima of 2×2, dense layers."""
    network = conv.ConvolutionalNetwork(factored=False, generator=generator()).double()
    kernels = [kernel.detach().numpy() for kernel in network.kernels]
    maps = IMAGES[0].numpy()
    for kernel, bias in zip(kernels, (0.0, 0.1), strict=True):
        sums = np.stack(
            [
                sum(correlate2d(x, k, mode="same") for x, k in zip(maps, row, strict=True))
                for row in kernel
            ]
        )
        size = sums.shape[1] // 2
        maps = np.maximum(sums + bias, 0).reshape(-1, size, 2, size, 2).max((2, 4))
    (first,), (second,) = [[w.detach().numpy() for w in layer] for layer in network.dense]
    hidden = np.maximum(first @ maps.ravel() + 0.1, 0)
    keep = np.arange(512) % 3
    with torch.no_grad():
        image, mask = IMAGES[:1], torch.from_numpy(keep[None])
        np.testing.assert_allclose(network(image)[0], second @ hidden + 0.1, atol=1e-6)
        np.testing.assert_allclose(
            network(image, mask)[0], second @ (hidden * keep) + 0.1, atol=1e-6
        )


def test_both_readings_of_the_penalty():
    network = conv.ConvolutionalNetwork(factored=True, generator=generator()).double()
    (first, second), (third, fourth) = [[w.detach().numpy() for w in v] for v in network.dense]
    biases = 512 * 0.1**2 + 10 * 0.1**2
    product = ((second @ first) ** 2).sum() + ((fourth @ third) ** 2).sum()
    factors = sum((w**2).sum() for w in (first, second, third, fourth))
    # The biases started in float32, 0.1 rounded.
    assert network.penalty("product").item() == pytest.approx((product + biases) / 2, rel=1e-8)
    assert network.penalty("factors").item() == pytest.approx((factors + biases) / 2, rel=1e-8)
    original = conv.ConvolutionalNetwork(factored=False, generator=generator())
    assert torch.equal(original.penalty("product"), original.penalty("factors"))
