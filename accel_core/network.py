"""The deep linear network as a `torch.nn` module: a file of its own, since torch takes a second."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from accel_core.models import Architecture

Array = NDArray[np.float64]


class LinearNetwork(torch.nn.Sequential):
    """The same network as a `torch.nn` module: N `Linear` layers and nothing between them.

    >>> network = LinearNetwork(Architecture(depth=2), d=2).load_flat(np.array([1.0, 2.0, 3.0]))
    >>> network(torch.tensor([[1.0, 1.0]], dtype=torch.float64)).item()
    9.0
    """

    def __init__(self, architecture: Architecture, d: int, k: int = 1, dtype=torch.float64):
        sizes = architecture.sizes(d, k)
        super().__init__(
            *[
                torch.nn.utils.skip_init(torch.nn.Linear, n, m, bias=architecture.bias, dtype=dtype)
                for n, m in pairwise(sizes)
            ]
        )

    @torch.no_grad()
    def load_flat(self, flat: Array) -> LinearNetwork:
        """Takes the parameters from a flat vector in `Architecture`'s order."""
        torch.nn.utils.vector_to_parameters(
            torch.as_tensor(flat, dtype=next(self.parameters()).dtype), self.parameters()
        )
        return self

    def flat(self) -> Array:
        """The parameters as one flat float64 vector, in `Architecture`'s order."""
        return torch.nn.utils.parameters_to_vector(self.parameters()).detach().double().numpy()
