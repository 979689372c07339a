"""The films that break pipelines: every case of a corpus, judged by a program that is not ours.

The corpus lies beside the checkout, in ../shared/torture; without it there is nothing to run. A
case's clip, what it is and what must come out are in its manifest.
"""

import shlex
import sys

import pytest

from tests.faults import ROOT, run

CORPUS = ROOT.parent / "shared" / "torture"
QUICK = (
    "vfr_mp4",
    "three_audio",
    "prores_422_10bit",
    "subs_srt_to_mp4",
    "name_quote",
    "cut_mp4",
    "text_as_mp4",
    "hls_local",
    "in_is_dir",
)
"""A case each of time, sound, depth, text, names, damage and tricks."""
SIGNALS = ("sigint", "sigterm", "sigkill_rerun", "disk_full")
LOSSLESS = ("--crf", "0", "--preset", "ultrafast")
"""What x264 writes otherwise can differ from run to run."""

pytestmark = pytest.mark.skipif(
    not (CORPUS / "check_render.py").is_file(), reason="the torture corpus is not here"
)


def judged(model: str, *how: str, options: tuple[str, ...] = ()) -> str:
    """Run the corpus's own judge over renders with these options and return what it says."""
    words = [sys.executable, "-m", "vidcolor", "render", "--device", "cpu", "--model", model]
    render = [*words, *options, "--", "{in}", "{out}"]
    resume = ["--resume", shlex.join(render)] if "--resume" in how else []
    how = tuple(word for word in how if word != "--resume")
    checker = [sys.executable, str(CORPUS / "check_render.py"), str(CORPUS)]
    result = run([*checker, *how, *resume, "--", *render])
    return result.stdout + result.stderr


def assert_all_pass(verdict: str, cases: int) -> None:
    assert verdict.splitlines()[-1] == f"{cases} passed, 0 failed", verdict


def test_hard_films_come_out_right(model):
    assert_all_pass(judged(model, "--strict", "--only", ",".join(QUICK)), len(QUICK))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_film_of_the_corpus_comes_out_right_by_the_strictest_measure(model):
    # Strictly, an interrupted render leaves nothing at all. Ours leaves what it can go on with.
    assert_all_pass(judged(model, "--strict", "--skip", "sigint,sigterm"), 67)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_film_of_the_corpus_keeps_its_luma_bit_for_bit(model):
    assert_all_pass(judged(model, "--lossless", options=LOSSLESS), 69)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_signals_and_a_full_disk_are_survived(model):
    verdict = judged(model, "--resume", "--only", ",".join(SIGNALS), options=LOSSLESS)
    assert_all_pass(verdict, len(SIGNALS))
