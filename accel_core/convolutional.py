"""The convolutional network of TensorFlow's MNIST tutorial, and its factored form.

The tutorial's network (Fig. 6 right of Arora, Cohen & Hazan 2018, section 8 and appendix C) has
two convolutions and two dense layers. Its factored form puts two matrices, with nothing between
them, in place of each dense layer's one: 3136×512 becomes (3136×512)(512×512), and 512×10 becomes
(512×10)(10×10). Both compute the same class of functions.

The loss that the tutorial prints is a minibatch's cross-entropy, dropout on, plus a penalty
``5e-4 · Σ ½‖·‖²`` over the dense layers' weights and biases. The paper does not say what "the
weights" of a factored layer are. Two readings: the layer's matrix, which is the product
(``penalty="product"``), or each of its two matrices (``penalty="factors"``).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from accel_core.models import end_to_end

DENSE = ((512, 3136), (10, 512))  # one matrix per dense layer, (outputs, inputs)
ADDED = ((512, 512), (10, 10))  # the second matrix of the factored form


def truncated_normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """N(0, std²) without what lies beyond 2 std, redrawn until it is inside (TensorFlow's rule).

    The standard deviation of what comes out is 0.8796 of ``std``.
    """
    draws = torch.randn(shape, generator=generator)
    while (outside := draws.abs() > 2).any():
        draws[outside] = torch.randn(int(outside.sum()), generator=generator)
    return std * draws


class ConvolutionalNetwork(nn.Module):
    """conv 5×5×32 · conv 5×5×64 (same size, ReLU, 2×2 maxima each) · dense 512, ReLU · dense 10.

    ``dense`` holds each dense layer's factors, the first applied first. The networks of one
    generator state share all draws but those of the added matrices, which come last.
    """

    def __init__(
        self,
        *,
        factored: bool,
        generator: torch.Generator,
        std: float = 0.1,
        dense_std: float | None = None,
    ) -> None:
        super().__init__()
        dense_std = std if dense_std is None else dense_std
        self.kernels = nn.ParameterList(
            truncated_normal(shape, std, generator) for shape in ((32, 1, 5, 5), (64, 32, 5, 5))
        )
        layers = [[truncated_normal(shape, dense_std, generator)] for shape in DENSE]
        if factored:
            for layer, shape in zip(layers, ADDED, strict=True):
                layer.append(truncated_normal(shape, dense_std, generator))
        self.dense = nn.ModuleList(nn.ParameterList(layer) for layer in layers)
        self.kernel_biases = nn.ParameterList([torch.zeros(32), torch.full((64,), 0.1)])
        self.biases = nn.ParameterList(torch.full((rows,), 0.1) for rows, _ in DENSE)

    def forward(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits (n, 10). ``keep`` (n, 512) multiplies the hidden units: dropout's mask."""
        hidden = images
        for kernel, bias in zip(self.kernels, self.kernel_biases, strict=True):
            hidden = functional.conv2d(hidden, kernel, bias, padding=2)
            hidden = functional.max_pool2d(functional.relu(hidden), 2)
        hidden = functional.relu(self._dense(0, hidden.flatten(1)))
        return self._dense(1, hidden if keep is None else hidden * keep)

    def _dense(self, layer: int, inputs: Tensor) -> Tensor:
        for factor in self.dense[layer]:
            inputs = inputs @ factor.T
        return inputs + self.biases[layer]

    def penalty(self, reading: str) -> Tensor:
        """Σ ½‖·‖² over the dense layers' biases and, as ``reading`` says, products or factors."""
        if reading == "product":
            weights = [end_to_end(layer) for layer in self.dense]
        else:
            weights = [factor for layer in self.dense for factor in layer]
        return sum(tensor.square().sum() for tensor in (*weights, *self.biases)) / 2


def parameters(*, factored: bool) -> int:
    """The number of the network's weights and biases."""
    network = ConvolutionalNetwork(factored=factored, generator=torch.Generator())
    return sum(parameter.numel() for parameter in network.parameters())
