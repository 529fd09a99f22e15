"""Policies and dynamics on logged transitions: how far two Gaussian policies are apart, how badly a model predicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import cloud
from shiftlab.measures.registry import declare


@declare(
    kind="transitions",
    what="trajectories",
    how="divergence",
    unit="nats per state",
    range="[0, inf)",
    zero_means="the same action distribution in that state",
    source="KL of diagonal Gaussians; policy shift: after Jackson et al. 2024 (policy-guided diffusion)",
    use_when="two Gaussian policies are asked in the same states",
    do_not_use_when="actions are multimodal: a Gaussian then stands between the modes",
    symmetric=False,
)
def policy_kl(mean0: ArrayLike, sd0: ArrayLike, mean1: ArrayLike, sd1: ArrayLike) -> NDArray[np.float64]:
    """KL(N0, N1) (n,) of diagonal Gaussian policies, means and standard deviations (n, a) in n states.

    A vector of standard deviations (a,) holds for all states. Zero means the same distribution. ValueError for
    unequal shapes or standard deviations that are not positive. Source: KL of Gaussians.
    """
    m0, m1 = cloud(mean0, "mean0").astype(np.float64), cloud(mean1, "mean1").astype(np.float64)
    if m0.shape != m1.shape:
        raise ValueError(f"mean0 and mean1 must have the same shape: {m0.shape} and {m1.shape}")
    s0, s1 = _spread(sd0, m0, "sd0"), _spread(sd1, m1, "sd1")
    ratio = s0 / s1
    terms = np.square(ratio) / 2 - 0.5 - np.log(ratio) + np.square((m0 - m1) / s1) / 2
    return np.asarray(np.maximum(terms, 0).sum(1))


@declare(
    kind="transitions",
    what="trajectories",
    how="probe",
    unit="squared units of the state",
    range="[0, inf)",
    zero_means="the linear model predicts the next state exactly",
    source="least squares s' ~ [s, a, 1]; after Jackson et al. 2024",
    use_when="synthetic or new transitions should follow the dynamics of real ones",
    do_not_use_when="columns of the state follow from each other, or dynamics are far from linear: compare with "
    "held-out real transitions",
    symmetric=False,
)
def dynamics_error(
    fit: tuple[ArrayLike, ArrayLike, ArrayLike], test: tuple[ArrayLike, ArrayLike, ArrayLike]
) -> NDArray[np.float64]:
    """Squared error (m,) of the next state, mean over its dimensions, of transitions ``test`` under a linear model.

    Both are (states, actions, next states) of equal numbers of rows; the model is least squares on ``fit``. Zero
    means exact prediction. ValueError for shapes that do not fit. Source: after Jackson et al. (2024).
    """
    s, a, s2 = _transitions(fit, "fit")
    t, b, t2 = _transitions(test, "test")
    if s.shape[1] != t.shape[1] or a.shape[1] != b.shape[1]:
        raise ValueError("fit and test must have the same state and action dimensions")
    known = np.column_stack([s, a, np.ones(len(s))])
    weights = np.linalg.lstsq(known, s2, rcond=None)[0]
    return np.asarray(np.square(np.column_stack([t, b, np.ones(len(t))]) @ weights - t2).mean(1))


def _spread(values: ArrayLike, like: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in (like.shape, like.shape[1:], ()):
        raise ValueError(f"{name} must have shape {like.shape} or {like.shape[1:]}, not {array.shape}")
    if not np.isfinite(array).all() or (array <= 0).any():
        raise ValueError(f"{name} must be finite and above 0")
    return np.broadcast_to(array, like.shape)


def _transitions(given: tuple[ArrayLike, ArrayLike, ArrayLike], name: str) -> list[NDArray[np.float64]]:
    if len(given) != 3:
        raise ValueError(f"{name} must be (states, actions, next states)")
    parts = [cloud(one, f"{name}[{k}]").astype(np.float64) for k, one in enumerate(given)]
    if len({len(one) for one in parts}) != 1 or parts[0].shape != parts[2].shape:
        raise ValueError(
            f"{name}: states, actions and next states must be equally many, and states alike in shape"
        )
    return parts
