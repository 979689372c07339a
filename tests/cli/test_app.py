"""The command line: help, options, recipes, errors, exit codes and signals."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from vidcolor import signals
from vidcolor._version import __version__
from vidcolor.cli import console
from vidcolor.cli.app import app, run
from vidcolor.errors import InputError, ModelError, OptionsError, OutputError
from vidcolor.options.evaluate import EvaluateOptions
from vidcolor.options.extract import ExtractOptions
from vidcolor.options.preview import PageOptions, PreviewOptions
from vidcolor.options.render import RenderOptions
from vidcolor.options.train import TrainOptions

COMMANDS = [
    ("render",),
    ("extract",),
    ("train",),
    ("evaluate",),
    ("demo",),
    ("preview",),
    ("compare",),
    ("dataset", "list"),
    ("dataset", "info"),
    ("dataset", "pack"),
    ("dataset", "stills"),
    ("models", "list"),
    ("models", "show"),
    ("models", "add"),
    ("models", "remove"),
    ("models", "export"),
]
HEAVY = {"torch", "av", "cv2", "h5py", "ffmpeg", "matplotlib", "lpips"}


def parsed(*words: str) -> dict[str, object]:
    """Return the arguments that a command line gives to its command."""
    _, bound, _ = app.parse_args(list(words), exit_on_error=False, print_error=False)
    return dict(bound.arguments)


def error_of(capsys, *words: str) -> tuple[int, str]:
    """Run a command line that fails; return its exit code and the one line of its error."""
    code = run(words)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vidcolor: error: ")
    assert err.count("\n") == 1
    return code, err


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe and return its path as a word."""

    def write(text: str) -> str:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return str(path)

    return write


def subprocess_of(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vidcolor", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from vidcolor.cli.app import run\n"
        "for words in sys.argv[1:]: run([*words.split(), '--help'])\n"
        "print('modules:', *sys.modules)"
    )
    words = [" ".join(command) for command in ((), *COMMANDS)]
    result = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    help_text, _, modules = result.stdout.partition("modules:")
    assert help_text.count("Usage: vidcolor") == len(words)
    assert not HEAVY & set(modules.split())


def test_models_are_listed_without_torch():
    program = (
        "import sys; from vidcolor.cli.app import run\n"
        "run(['models', 'list']); print('modules:', *sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    table, _, modules = result.stdout.partition("modules:")
    assert "default" in table
    assert "torch" not in modules.split()


@pytest.mark.parametrize("command", [(), ("dataset",), ("models",), *COMMANDS], ids=" ".join)
def test_help_teaches_with_examples_that_parse(command, capsys):
    assert run([*command, "--help"]) == 0
    examples = re.findall(r"^    vidcolor (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert examples
    for example in examples:
        app.parse_args(example.split(), exit_on_error=False, print_error=False)


def test_version_is_said(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"vidcolor {__version__}\n"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("render", RenderOptions),
        ("extract", ExtractOptions),
        ("train", TrainOptions),
        ("evaluate", EvaluateOptions),
        ("preview", PreviewOptions),
        ("compare", PageOptions),
    ],
)
def test_every_option_is_a_flag_with_help(command, options, capsys):
    run([command, "--help"])
    help_text = capsys.readouterr().out
    for field in fields(options):
        assert re.search(rf"--{field.name.replace('_', '-')}\b.*\w", help_text)


@pytest.mark.parametrize(
    "words",
    [
        ("--", "-i.mp4", "-o.mp4"),
        ("./-i.mp4", "./-o.mp4"),
        ("12:30 take.mp4", "a b é 漢字.mp4"),
        ('it\'s "q" $HOME `x`;&.mp4', "clip%03d.mp4"),
        ("[bold]http:x[/].mp4", "new\nline.mp4"),
        (os.fsdecode(b"\xff\xfe.mp4"), "x.mkv"),
    ],
)
def test_odd_file_names_arrive_as_they_are(words):
    names = [word for word in words if word != "--"]
    given = parsed("render", *words)
    assert [given["film"], given["out"]] == [Path(name) for name in names]


def test_options_after_the_files_arrive():
    given = parsed("render", "a.mp4", "b.mkv", "--codec", "ffv1", "--saturation=0.5")
    assert given["options"] == RenderOptions(codec="ffv1", saturation=0.5)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("rendr", "a", "b"), "render"),
        (("render", "a", "b", "--crff", "3"), "--crf"),
        (("render", "a", "b", "--crf", "x"), "--crf"),
        (("render", "a", "b", "--crf", "300"), "between 0 and 63"),
        (("render", "a", "b", "--codec", "x264"), "libx264"),
        (("render", "a"), "vidcolor render --help"),
        (("evaluate",), "--dataset NAME or --clips"),
        (("train",), "--dataset"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_the_way_out(words, hint, capsys):
    code, line = error_of(capsys, *words)
    assert code == 2
    assert hint in line


def test_a_file_that_looks_like_a_flag_is_explained(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-i.mp4").touch()
    _, line = error_of(capsys, "render", "-i.mp4", "o.mp4")
    assert "./-i.mp4" in line


@pytest.mark.parametrize(
    ("error", "code"),
    [(OptionsError, 2), (InputError, 3), (OutputError, 4), (ModelError, 5), (RuntimeError, 1)],
)
def test_each_kind_of_failure_has_its_exit_code(error, code, capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise error("film x\ny.mp4: why; what to do")

    monkeypatch.setattr("vidcolor.cli.app._render", fail)
    assert error_of(capsys, "render", "a", "b")[0] == code


def test_debug_adds_the_traceback(capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise InputError("film: why")

    monkeypatch.setattr("vidcolor.cli.app._render", fail)
    assert run(["render", "a", "b", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_recipe_fills_what_no_flag_gives(recipe):
    path = recipe('[train]\ndataset = "zootopia"\nbatch_size = 4\nepochs = 7\ncrop = false\n')
    options = parsed("train", "--recipe", path, "--epochs", "3")["options"]
    assert options == TrainOptions(dataset="zootopia", batch_size=4, epochs=3, crop=False)


def test_recipe_of_two_tables_serves_both_verbs(recipe):
    path = recipe('[extract]\ndataset = "z"\nsize = 240\n[train]\ndataset = "z"\n')
    options = parsed("extract", "film.mkv", "--recipe", path)["options"]
    assert options == ExtractOptions(dataset="z", size=240)


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('[train]\ndataset = "z"\nbatch_sise = 4', 2, "--batch-size"),
        ('[train]\ndataset = "z"\nepochs = "many"', 2, "epochs"),
        ('[train]\ndataset = "z"\nepochs = 0', 2, "--epochs 0"),
        ("[training]\nepochs = 4", 2, "[train]"),
        ("[extract]\nsize = 4", 2, "no [train]"),
        ("[train", 3, "is not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_explained(text, code, hint, recipe, capsys):
    found, line = error_of(capsys, "train", "--recipe", recipe(text))
    assert found == code
    assert hint in line


def test_a_missing_recipe_is_an_input_error(capsys):
    code, line = error_of(capsys, "train", "--recipe", "no/such.toml")
    assert code == 3
    assert "no/such.toml" in line


def test_training_on_a_film_names_the_dataset_after_it():
    assert parsed("train", "--film", "films/My film.mkv")["options"].dataset == "My-film"  # type: ignore[attr-defined]
    given = parsed("train", "--film", "a.mkv", "--dataset", "b")
    assert given["options"].dataset == "b"  # type: ignore[attr-defined]


def test_a_message_is_one_line_without_control_characters():
    assert console.one_line("a\nb\x1b[31m\tc") == "a b\\x1b[31m c"


def test_a_missing_film_fails_with_3_under_an_ascii_locale():
    result = subprocess_of("render", "漢字.mp4", "o.mp4", LC_ALL="C", PYTHONUTF8="0")
    assert result.returncode == 3
    assert result.stderr.startswith("vidcolor: error: ")


def test_public_names_are_there_and_come_late():
    program = (
        "import sys, vidcolor; assert not {'torch', 'av'} & set(sys.modules);"
        "[getattr(vidcolor, name) for name in vidcolor.__all__]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_importing_ends_with_one_line(signum, code, tmp_path):
    (tmp_path / "torch.py").write_text(
        "print('importing', flush=True)\nimport time; time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "vidcolor", "train", "--dataset", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signum)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err == f"vidcolor: interrupted by {signum.name}\n"


@pytest.fixture
def _answered_signals(monkeypatch):
    """Answer signals as the program does, for a test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(signals, "_received", None)
    signals.install()
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_answered_signals")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_work_lets_files_be_put_away(signum, code, capsys, monkeypatch):
    put_away = []

    def work(*_: object) -> None:
        with signals.stoppable():
            try:
                signal.raise_signal(signum)
            finally:
                put_away.append(True)

    monkeypatch.setattr("vidcolor.cli.app._render", work)
    assert run(["render", "a", "b"]) == code
    assert put_away
    assert capsys.readouterr().err == f"vidcolor: interrupted by {signum.name}\n"


@pytest.mark.usefixtures("_answered_signals")
def test_a_swallowed_interruption_comes_back(capsys):
    class Swallowing:
        def __del__(self) -> None:  # what is raised in here goes to the unraisable hook
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        with signals.stoppable():
            thing = Swallowing()
            del thing
            time.sleep(10)

    with pytest.raises(signals.Interrupted):
        work()
    assert capsys.readouterr().err == ""


def test_a_library_cannot_turn_an_interruption_into_an_error(monkeypatch):
    monkeypatch.setattr(signals, "_received", signals.Interrupted(signal.SIGTERM))
    with pytest.raises(signals.Interrupted), signals.stoppable():
        raise ImportError("numpy failed to import")
