"""Muon (K. Jordan, 2024) in single precision: steps of matrices whose singular values are all near one."""

import torch

# The quintic that brings singular values towards one, and how often it is applied.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions that are no embedding. torch's own computes in bfloat16, which is slow on CPUs without it."""

    def __init__(self, matrices: list[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weights in group["params"]:
                moved = self.state[weights].setdefault("moved", torch.zeros_like(weights))
                moved.lerp_(weights.grad, 1 - group["momentum"])
                rows, columns = weights.shape
                direction = orthogonal(weights.grad.lerp(moved, group["momentum"])) * max(1, rows / columns) ** 0.5
                weights.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with singular values near one."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
