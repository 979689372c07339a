"""Tables and files say what was found, and n/a where nothing was."""

import json
import math

import pytest

from vidcolor.evaluation.report import KINDS, METRICS, EvaluationReport, ScoreRow


def row(film="a.mp4", kind="result", in_mean=True, **scores):
    return ScoreRow(film, kind, 10, {metric.key: None for metric in METRICS} | scores, in_mean)


def mean_of(rows, kind="result"):
    report = EvaluationReport("default", 256, tuple(rows))
    return next(mean for mean in report.mean if mean.kind == kind).scores


def test_films_weigh_alike_in_the_mean():
    assert mean_of([row(psnr_db=20.0), row("b.mp4", psnr_db=30.0)])["psnr_db"] == 25


def test_a_missing_number_is_left_out_of_the_mean_and_not_counted_as_zero():
    rows = [row(cdc=0.004), row("one-frame.mp4", cdc=None)]
    assert mean_of(rows)["cdc"] == 0.004
    assert mean_of(rows)["lpips"] is None


def test_a_film_without_color_does_not_count_in_the_mean():
    rows = [row(psnr_db=20.0), row("black.mp4", in_mean=False, psnr_db=math.inf)]
    assert mean_of(rows)["psnr_db"] == 20


def test_kinds_do_not_mix_in_the_mean():
    rows = [row(ssim=0.9), row(kind="grey", ssim=0.5), row(kind="truth")]
    assert [mean_of(rows, kind)["ssim"] for kind in KINDS] == [0.9, 0.5, None]


def test_the_table_has_a_cell_for_every_column_and_shows_na():
    report = EvaluationReport("default", 256, (row(psnr_db=math.inf, cdc=0.00376),))
    headings, rows = report.table()
    assert {len(cells) for cells in rows} == {len(headings)}
    shown = dict(zip(headings, rows[0], strict=True))
    assert (shown["film"], shown["PSNR"], shown["LPIPS"], shown["CDC e3"]) == (
        "a.mp4",
        "inf",
        "n/a",
        "3.76",
    )
    assert [cells[0] for cells in rows] == ["a.mp4", "mean", "mean", "mean"]


def test_the_summary_has_a_row_for_every_metric():
    headings, rows = EvaluationReport(
        "default", 256, (row(ssim=0.9), row(kind="grey", ssim=0.5))
    ).summary()
    assert [cells[0] for cells in rows] == [metric.heading for metric in METRICS]
    assert {len(cells) for cells in rows} == {len(headings)}
    assert rows[1][1:4] == ["0.9000", "0.5000", "n/a"]


def test_json_holds_every_number_and_null_where_there_is_none():
    rows = (row(psnr_db=math.inf, ssim=0.25), row("b.mp4", ssim=0.75))
    read = json.loads(EvaluationReport("default", 256, rows, ("LPIPS: n/a: no file",)).to_json())
    assert read["rows"][0]["psnr_db"] == "infinity"
    assert read["rows"][0]["ssim"] == 0.25
    assert read["rows"][0]["lpips"] is None
    assert read["mean"][0]["ssim"] == 0.5
    assert read["notes"] == ["LPIPS: n/a: no file"]
    assert set(read["metrics"]) == {metric.key for metric in METRICS}


def test_json_never_holds_what_json_does_not_know():
    with pytest.raises(ValueError, match="JSON"):
        EvaluationReport("default", 256, (row(ssim=math.nan),)).to_json()
