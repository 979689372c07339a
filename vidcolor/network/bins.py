"""Color as a choice among 313 bins of CIE ab: the colourful classifier's arithmetic.

Richard Zhang, Phillip Isola, Alexei A. Efros: Colorful Image Colorization, ECCV 2016, section 2.
The bins are computed from the sRGB gamut, not read from a file.
"""

from functools import cache
from itertools import product

import torch
from torch import Tensor

from vidcolor.color import lab_from_rgb

GRID = 10
"""Distance of two bins, units of ab (the paper's)."""
NEIGHBOURS = 5
"""Bins that a color is spread over (the paper's)."""
SIGMA = 5.0
"""Standard deviation of that spread and of the prior's smoothing, units of ab (the paper's)."""
CUBE_STEPS = 17
"""Steps along an edge of the sRGB cube; more give the same bins."""


def ab_bins() -> Tensor:
    """Return the centres (313, 2) of the bins: a, b, rising.

    They are the points of the grid within one step, in a and in b, of the convex hull of
    what the sRGB gamut covers: the corners of squares of two steps around its surface span a hull,
    the grid points inside it are the bins.
    """
    return torch.tensor(_centres(), dtype=torch.float32)


@cache
def _centres() -> tuple[tuple[int, int], ...]:
    # Kept as numbers: a tensor that was made while nothing learns could not be learned with.
    axis = torch.linspace(0, 1, CUBE_STEPS, dtype=torch.float64)
    cube_3N = torch.cartesian_prod(axis, axis, axis).T
    is_surface = ((cube_3N == 0) | (cube_3N == 1)).any(dim=0)
    ab_N2 = lab_from_rgb(cube_3N[:, None, is_surface])[1:, 0].T
    corners = [
        (a + GRID * x, b + GRID * y)
        for a, b in ab_N2.tolist()
        for x, y in product((-1, 1), repeat=2)
    ]
    hull = _convex_hull(corners)
    reach = range(-120, 121, GRID)
    return tuple(point for point in product(reach, reach) if _is_inside(point, hull))


# SciPy, which has one, is no dependency, and too heavy for 30 lines; OpenCV's hull is in float32.
def _convex_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the hull's corners counter-clockwise (Andrew's monotone chain, 1979)."""
    rising = sorted(set(points))
    hull: list[tuple[float, float]] = []
    for way in (rising, rising[::-1]):
        chain: list[tuple[float, float]] = []
        for point in way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        hull += chain[:-1]
    return hull


def _turn(o: tuple[float, float], p: tuple[float, float], q: tuple[float, float]) -> float:
    """Return a positive number where the way from o over p to q turns left."""
    return (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0])


def _is_inside(point: tuple[float, float], hull: list[tuple[float, float]]) -> bool:
    edges = zip(hull, hull[1:] + hull[:1], strict=True)
    return all(_turn(start, end, point) >= 0 for start, end in edges)


def soft_encode(ab_B2hw: Tensor, bins_Q2: Tensor) -> Tensor:
    """Return how much of each bin a color is, (B, Q, h, w), summing to 1 (equation 2's Z).

    The five nearest bins share it, weighted by a Gaussian of their distance. Distances are taken
    in double precision without the matrix product's shortcut, which swaps near ties.

    Args:
        ab_B2hw: a*, b*.
        bins_Q2: what `ab_bins` returns.
    """
    ab_B1hw2 = ab_B2hw.movedim(1, -1).double()
    squares_BhwQ = (ab_B1hw2[..., None, :] - bins_Q2.double()).square().sum(dim=-1)
    nearest, indices = squares_BhwQ.sort(dim=-1, stable=True)
    weights = torch.softmax(-nearest[..., :NEIGHBOURS] / (2 * SIGMA**2), dim=-1)
    shares_BhwQ = torch.zeros_like(squares_BhwQ)
    shares_BhwQ.scatter_(-1, indices[..., :NEIGHBOURS], weights)
    return shares_BhwQ.movedim(-1, 1).float()


def smoothed_prior(counts_Q: Tensor, bins_Q2: Tensor) -> Tensor:
    """Return how frequent each bin is, smoothed over its neighbours, (Q,), summing to 1.

    Args:
        counts_Q: soft labels, added up over a dataset.
        bins_Q2: what `ab_bins` returns.
    """
    distances_QQ = (bins_Q2[:, None] - bins_Q2[None]).double().square().sum(dim=-1)
    kernel_QQ = torch.softmax(-distances_QQ / (2 * SIGMA**2), dim=1)
    smoothed_Q = kernel_QQ @ (counts_Q.double() / counts_Q.sum())
    return (smoothed_Q / smoothed_Q.sum()).float()


def rebalancing_weights(prior_Q: Tensor, share: float = 0.5) -> Tensor:
    """Return a weight for each bin, rare colors weighing more; 1 on average (equation 4).

    Args:
        prior_Q: what `smoothed_prior` returns.
        share: of the uniform distribution that is mixed in, lambda; 1 weighs all alike.
    """
    weights_Q = 1 / ((1 - share) * prior_Q + share / len(prior_Q))
    return weights_Q / (prior_Q * weights_Q).sum()


def annealed_mean(logits_BQhw: Tensor, bins_Q2: Tensor, temperature: float) -> Tensor:
    """Return a*, b* (B, 2, h, w): the mean of a sharpened distribution (equation 5).

    Args:
        logits_BQhw: unnormalised log-probabilities.
        bins_Q2: what `ab_bins` returns.
        temperature: above 0; 1 is the mean, towards 0 the likeliest bin; the paper's is 0.38.
    """
    shares_BQhw = torch.softmax(logits_BQhw / temperature, dim=1)
    return torch.einsum("bqhw,qc->bchw", shares_BQhw, bins_Q2.to(shares_BQhw))
