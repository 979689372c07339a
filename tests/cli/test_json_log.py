"""Messages as lines of JSON: what `--log-json` promises to the programs that read them."""

import json
import logging
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import command, tiny_model
from vidcolor.cli import console
from vidcolor.cli.app import app, run
from vidcolor.cli.json_log import line_of
from vidcolor.errors import InputError

KEYS = {"time", "level", "logger", "process", "message"}


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return what each line says; a line that is no JSON object fails."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(set(line) >= KEYS for line in lines)
    return lines


def record(message: str, *values: object, **more: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "args": values, "levelname": "INFO", **more})


@given(st.text(st.characters(codec=None)))
def test_any_message_is_one_line_that_says_it_again(text):
    line = line_of(record("%s", text))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == text


def test_the_time_is_when_it_was_logged_in_utc():
    noon = datetime(2026, 1, 2, 12, 0, 0, 250000, UTC)
    said = json.loads(line_of(record("x", created=noon.timestamp())))["time"]
    assert said == "2026-01-02T12:00:00.250+00:00"
    assert datetime.fromisoformat(said).utcoffset() == timedelta(0)


def test_facts_are_kept_whatever_they_are(tmp_path):
    line = json.loads(line_of(record("x", facts={"film": tmp_path, "frames": 3})))
    assert line["facts"] == {"film": str(tmp_path), "frames": 3}


def test_a_render_says_everything_in_json_and_its_results_as_always(draw, tmp_path):
    film = draw("film.mp4", frames=5, is_color=True)
    model = tiny_model(tmp_path / "model")
    words = command(film, tmp_path / "out.mkv", model, "--log-json")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = lines_of(done.stderr)
    assert [line for line in lines if "its own colors are replaced" in line["message"]]
    assert {line["logger"] for line in lines} > {"vidcolor", "vidcolor.rendering.driver"}
    assert len({line["process"] for line in lines}) == 1
    assert lines[-1]["facts"] == {
        "film": str(film), "out": str(tmp_path / "out.mkv"), "frames": 5, "shots": 1,
    }  # fmt: skip
    assert "Streams" in done.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("render", "no-such.mp4", "out.mp4", "--log-json"), 3),
        (("render", "--log-json", "a.mp4", "out.mp4", "--crf", "300"), 2),
        (("render", "a.mp4", "out.mp4", "--crff", "3", "--log-json"), 2),
        (("rendr", "--log-json"), 2),
        (("dataset", "info", "nothing", "--log-json"), 3),
        (("train", "--log-json", "--quiet"), 2),
    ],
)
def test_an_error_is_one_line_of_json_whatever_is_wrong(words, code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == code
    (line,) = lines_of(capsys.readouterr().err)
    assert line["level"] == "error"
    assert "traceback" not in line


def test_a_command_after_it_speaks_plainly_again(capsys):
    run(["rendr", "--log-json"])
    run(["rendr"])
    assert capsys.readouterr().err.splitlines()[1].startswith("vidcolor: error: ")


def test_debug_puts_the_traceback_into_the_line(capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise InputError("film: why")

    monkeypatch.setattr("vidcolor.cli.app._render", fail)
    assert run(["render", "a", "b", "--debug", "--log-json"]) == 3
    (line,) = lines_of(capsys.readouterr().err)
    assert line["message"] == "film: why"
    assert line["traceback"].startswith("Traceback")


def test_progress_is_told_in_numbers_and_no_bar_is_drawn(capsys, monkeypatch):
    monkeypatch.setattr(console, "LINE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(console._stderr, "_force_terminal", True)
    console.set_up(log_json=True)
    with console.progress("training", unit="steps") as report:
        for step in (1, 2, 3):
            report(step, 10, {"loss": 0.5})
    lines = lines_of(capsys.readouterr().err)
    assert [line["facts"] for line in lines] == [
        {"task": "training", "unit": "steps", "done": step, "total": 10, "loss": 0.5}
        for step in (1, 2, 3)
    ]


def test_quiet_leaves_warnings_and_what_must_be_said(capsys):
    console.set_up(quiet=True, log_json=True)
    console.note("left out")
    logging.getLogger("vidcolor.rendering.render").warning("damaged")
    console.warn("interrupted by SIGINT")
    lines = lines_of(capsys.readouterr().err)
    assert [(line["level"], line["message"]) for line in lines] == [
        ("warning", "damaged"),
        ("info", "interrupted by SIGINT"),
    ]


def test_an_interruption_is_said_in_json(draw, tmp_path):
    film = draw("film.mkv", frames=200, width=320, height=240)
    words = command(film, tmp_path / "out.mkv", tiny_model(tmp_path / "model"), "--log-json")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # what was chosen: by then it is at work
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 143
    assert lines_of(first + rest)[-1]["message"] == "interrupted by SIGTERM"


def test_every_command_takes_it(capsys):
    for words in (("render",), ("train",), ("dataset", "list"), ("models", "add"), ("shots",)):
        run([*words, "--help"])
        assert "--log-json" in capsys.readouterr().out
    assert "--log-json" not in app.help


def test_of_several_trainings_one_speaks_json(tmp_path):
    words = [sys.executable, "-m", "vidcolor", "train", "--dataset", "nothing", "--log-json"]
    result = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"RANK": "1"}
    )
    (line,) = lines_of(result.stderr)
    assert (result.returncode, line["level"]) == (3, "error")
