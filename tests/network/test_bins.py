"""The 313 bins and what is counted in them: the published values, from first principles."""

import math

import pytest
import torch

from vidcolor.network.bins import (
    ab_bins,
    annealed_mean,
    rebalancing_weights,
    smoothed_prior,
    soft_encode,
)

BINS = ab_bins()


def row(a: int) -> list[int]:
    return [int(b) for x, b in BINS.tolist() if x == a]


def test_there_are_313_bins_with_the_published_edges():
    assert BINS.shape == (313, 2)
    assert row(-90) == list(range(50, 91, 10))
    assert row(0) == list(range(-70, 101, 10))
    assert row(100) == list(range(-90, 1, 10))
    assert BINS.min(dim=0).values.tolist() == [-90, -110]
    assert BINS.max(dim=0).values.tolist() == [100, 100]


def test_bins_rise():
    assert BINS.tolist() == sorted(BINS.tolist())


def test_a_color_in_the_middle_of_a_bin_is_shared_with_its_four_neighbours():
    (shares,) = soft_encode(torch.zeros(1, 2, 1, 1), BINS)[..., 0, 0]
    largest = shares.sort(descending=True).values
    assert largest[:6].tolist() == pytest.approx([0.64879] + [0.08780] * 4 + [0], abs=1e-5)
    assert BINS[shares.argmax()].tolist() == [0, 0]


def test_shares_sum_to_one():
    colors = (torch.rand(2, 2, 5, 7, generator=torch.Generator().manual_seed(0)) - 0.5) * 220
    shares = soft_encode(colors, BINS)
    assert shares.shape == (2, 313, 5, 7)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 5, 7))
    assert int((shares > 0).sum(dim=1).max()) == 5


def test_the_prior_is_positive_and_sums_to_one():
    counts = torch.zeros(313)
    counts[150] = 3.0
    prior = smoothed_prior(counts, BINS)
    assert float(prior.sum()) == pytest.approx(1)
    assert int(prior.argmax()) == 150
    neighbours = (BINS - BINS[150]).square().sum(dim=1) <= 200
    assert (prior[neighbours] > 0).all()


def test_weights_are_one_on_average_and_bounded():
    prior = smoothed_prior(torch.rand(313, generator=torch.Generator().manual_seed(1)) ** 8, BINS)
    weights = rebalancing_weights(prior)
    assert float((prior * weights).sum()) == pytest.approx(1, abs=1e-5)
    assert float(weights.max() / weights.min()) <= 1 + 313 * float(prior.max())
    assert int(weights.argmin()) == int(prior.argmax())


def test_all_bins_weigh_alike_where_the_uniform_distribution_is_all():
    prior = smoothed_prior(torch.rand(313, generator=torch.Generator().manual_seed(1)), BINS)
    torch.testing.assert_close(rebalancing_weights(prior, 1.0), torch.ones(313))


def test_annealing_lies_between_mean_and_mode():
    shares = torch.full((1, 313, 1, 1), 1e-30)
    shares[0, 10], shares[0, 200] = 0.6, 0.4
    logits = shares.log()
    sharpened = [0.6 ** (1 / 0.38), 0.4 ** (1 / 0.38)]
    assert sharpened[0] / sum(sharpened) == pytest.approx(0.744, abs=1e-3)
    for temperature, first in ((1.0, 0.6), (0.38, 0.744), (0.01, 1.0)):
        wanted = first * BINS[10] + (1 - first) * BINS[200]
        found = annealed_mean(logits, BINS, temperature)[0, :, 0, 0]
        torch.testing.assert_close(found, wanted, atol=0.2, rtol=0)


def test_a_uniform_guess_costs_the_logarithm_of_the_number_of_bins():
    shares = soft_encode(torch.zeros(1, 2, 1, 1), BINS)
    loss = -(shares * torch.log_softmax(torch.zeros(1, 313, 1, 1), dim=1)).sum()
    assert float(loss) == pytest.approx(math.log(313), abs=1e-4)
