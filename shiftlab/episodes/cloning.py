"""Behaviour cloning small enough to run everywhere: a numpy perceptron with two hidden layers and L2 loss."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shiftlab.errors import BadInputError

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ClonedPolicy:
    """A deterministic policy: call it with states (n, ds) for actions (n, da)."""

    layers: tuple[tuple[Floats, Floats], ...]
    centre: Floats
    scale: Floats
    loss: float

    def __call__(self, states: Floats) -> Floats:
        return _forward(self.layers, ((states - self.centre) / self.scale).astype(np.float32))[-1].astype(
            float
        )


def clone(
    states: Floats,
    actions: Floats,
    *,
    hidden: int = 200,
    steps: int = 3000,
    batch: int = 256,
    learning_rate: float = 1e-3,
    weights: Floats | None = None,
    seed: int = 0,
) -> ClonedPolicy:
    """Fit actions (N, da) to states (N, ds) by mean squared error with Adam (Kingma and Ba, 2015).

    ``weights`` (N,) sets how often a step is drawn. Same seed, same policy.
    """
    if len(states) != len(actions) or not len(states):
        raise BadInputError(f"states has {len(states)} steps and actions {len(actions)}: they must be paired")
    rng = np.random.default_rng([seed, 21])
    centre, scale = states.mean(axis=0), states.std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    x, y = ((states - centre) / scale).astype(np.float32), np.asarray(actions, dtype=np.float32)
    sizes = [x.shape[1], hidden, hidden, y.shape[1]]
    parameters = [
        parameter
        for fan_in, fan_out in itertools.pairwise(sizes)
        for parameter in (
            (rng.normal(size=(fan_in, fan_out)) * np.sqrt(2 / fan_in)).astype(np.float32),
            np.zeros(fan_out, dtype=np.float32),
        )
    ]
    chance = None if weights is None else np.asarray(weights, dtype=float) / np.sum(weights)
    with threadpool_limits(1, user_api="blas"):  # the matrices are too small for a team of threads
        loss = _adam(parameters, x, y, rng, chance, steps=steps, batch=batch, learning_rate=learning_rate)
    return ClonedPolicy(_layers(parameters), centre, scale, loss)


def _adam(
    parameters: list[Floats],
    x: Floats,
    y: Floats,
    rng: np.random.Generator,
    chance: Floats | None,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
) -> float:
    """Train ``parameters`` in place with a cosine schedule; the loss of the last batch."""
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    loss = 0.0
    for t in range(1, steps + 1):
        rows = rng.integers(0, len(x), batch) if chance is None else rng.choice(len(x), batch, p=chance)
        loss, gradients = _gradients(parameters, x[rows], y[rows])
        rate = learning_rate * (1 + np.cos(np.pi * t / steps)) / 2
        for at, gradient in enumerate(gradients):
            first[at] += 0.1 * (gradient - first[at])
            second[at] += 0.001 * (np.square(gradient) - second[at])
            step = first[at] / (1 - 0.9**t) / (np.sqrt(second[at] / (1 - 0.999**t)) + 1e-8)
            parameters[at] -= np.float32(rate) * step
    return loss


def _layers(parameters: list[Floats]) -> tuple[tuple[Floats, Floats], ...]:
    return tuple(zip(parameters[::2], parameters[1::2], strict=True))


def _forward(layers: tuple[tuple[Floats, Floats], ...], x: Floats) -> list[Floats]:
    values = [x]
    for at, (weight, bias) in enumerate(layers):
        out = values[-1] @ weight + bias
        values.append(np.maximum(out, 0) if at < len(layers) - 1 else out)
    return values


def _gradients(parameters: list[Floats], x: Floats, y: Floats) -> tuple[float, list[Floats]]:
    layers = _layers(parameters)
    values = _forward(layers, x)
    error = values[-1] - y
    back = 2 * error / len(x)
    gradients: list[Floats] = []
    for at in reversed(range(len(layers))):
        gradients = [values[at].T @ back, back.sum(axis=0), *gradients]
        back = (back @ layers[at][0].T) * (values[at] > 0)
    return float(np.mean(np.square(error).sum(axis=1))), gradients
