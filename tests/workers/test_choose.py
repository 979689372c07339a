"""Who renders, where the options leave that open."""

import pytest

from vidcolor.options.render import RenderOptions
from vidcolor.workers.choose import create_pool


@pytest.mark.parametrize(("cores", "workers"), [(1, None), (7, None), (8, 2), (12, 3)])
def test_auto_hires_a_worker_for_every_four_cores(cores, workers, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    with create_pool(RenderOptions(device="cpu", workers="auto")) as pool:
        assert (None if pool is None else pool.size) == workers
