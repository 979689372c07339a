"""`vidcolor models`: what is listed, what is installed, and what is refused."""

import hashlib
import os
import subprocess
import sys
import tomllib
import urllib.request
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch

from tests.models import TINY
from tests.web import serve
from vidcolor.cli.app import run
from vidcolor.errors import ModelError, OptionsError, OutputError
from vidcolor.files import home, lock
from vidcolor.network.card import read_card
from vidcolor.network.library import added_models, find_model, list_models
from vidcolor.network.weights import load_network, pack_model, save_model
from vidcolor.zoo.add import add_model, remove_model
from vidcolor.zoo.download import Remote, fetch


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCOLOR_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tmp_path) -> Path:
    """Return the folder of a model named tiny."""
    torch.manual_seed(0)
    save_model(replace(TINY, licence="CC0-1.0"), TINY.build_network(), tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def packed(model, tmp_path) -> Path:
    pack_model(model, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def web():
    with serve() as served:
        yield served


@pytest.fixture
def hub(web, monkeypatch):
    """Let the Hub be the server on this machine."""
    template = web.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return web


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_network(folder)[1].state_dict()


def assert_nothing_is_left() -> None:
    assert not list(added_models().glob("*"))
    assert not (home() / "workshop").exists()


@pytest.mark.parametrize("kind", ["folder", "card", "file"])
def test_an_added_model_is_found_by_its_name_and_is_what_it_was(kind, model, packed, monkeypatch):
    source = {"folder": model, "card": model / "card.toml", "file": packed}[kind]
    done = add_model(str(source))
    monkeypatch.chdir("/")
    assert find_model("tiny") == done.folder == added_models() / "tiny"
    assert read_card(done.folder) == replace(read_card(model), origin=str(source))
    assert done.sha256 == sha256(packed if kind == "file" else model / "weights.safetensors")
    theirs, ours = state(model), state(done.folder)
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs | ours)


def test_an_added_model_can_have_another_name(model):
    add_model(str(model), name="theirs")
    assert read_card(find_model("theirs")).name == "theirs"


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_no_model_takes_the_place_of_another(name, model):
    add_model(str(model))
    before = state(added_models() / "tiny")
    with pytest.raises(ModelError, match=f"model '{name}': already exists in .*--name"):
        add_model(str(model), name=name)
    after = state(added_models() / "tiny")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_removed_model_is_gone_and_nothing_else_is(model):
    add_model(str(model))
    add_model(str(model), name="other")
    assert remove_model("tiny") == added_models() / "tiny"
    assert [folder.name for folder in added_models().iterdir()] == ["other"]


@pytest.mark.parametrize("name", ["default", "tiny", "../tiny", ".", "..", ""])
def test_only_models_that_were_added_are_removed(name, model):
    add_model(str(model), name="mine")
    with pytest.raises(ModelError, match=r"was not added.*models: mine"):
        remove_model(name)
    assert model.is_dir()
    assert find_model("default").is_dir()
    assert find_model("mine").is_dir()


@pytest.mark.parametrize("name", ["../evil", "/evil", ".", "a/b", "", "a\nb"])
def test_a_card_cannot_choose_where_it_is_installed(name, model, tmp_path):
    save_model(replace(TINY, name=name), TINY.build_network(), model)
    with pytest.raises(ModelError, match="no valid name"):
        add_model(str(model))
    with pytest.raises(OptionsError, match="--name"):
        add_model(str(model), name=name)
    assert not (tmp_path / "evil").exists()
    assert_nothing_is_left()


@pytest.mark.parametrize("fault", ["cut", "nan", "other card", "no card", "no weights", "pickle"])
def test_a_model_that_would_not_render_is_not_installed(fault, model):
    weights = model / "weights.safetensors"
    if fault == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    if fault == "nan":
        values = safetensors.torch.load_file(weights)
        values["head.weight"].fill_(torch.nan)
        safetensors.torch.save_file(values, weights)
    if fault == "other card":
        card = model / "card.toml"
        card.write_text(card.read_text().replace("base_channels = 8", "base_channels = 16"))
    if fault == "no card":
        (model / "card.toml").unlink()
    if fault == "no weights":
        weights.unlink()
    if fault == "pickle":
        torch.save(TINY.build_network().state_dict(), weights)
    with pytest.raises(ModelError):
        add_model(str(model))
    assert_nothing_is_left()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_file_that_is_not_what_its_digest_says_is_refused(kind, model, packed):
    source = model if kind == "folder" else packed
    with pytest.raises(ModelError, match=f"SHA-256 is [0-9a-f]{{64}}, not {'0' * 64}"):
        add_model(str(source), sha256="0" * 64)
    assert_nothing_is_left()
    add_model(
        str(source), sha256=sha256(packed if kind == "file" else model / "weights.safetensors")
    )


def test_two_processes_do_not_install_at_once(model):
    home().mkdir()
    with (home() / "lock").open("a") as file:
        lock(file, if_held="never")
        with pytest.raises(OutputError, match="another vidcolor"):
            add_model(str(model))
    assert_nothing_is_left()


def test_an_installation_that_was_killed_leaves_no_model_and_is_swept_up_by_the_next(model):
    program = (
        "import os; from vidcolor.zoo import add\n"
        "add.load_network = lambda folder: os._exit(9)\n"
        f"add.add_model({str(model)!r})"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert killed.returncode == 9
    assert not list(added_models().glob("*"))
    (home() / "workshop/unfinished").touch()
    done = add_model(str(model))
    assert {path.name for path in done.folder.iterdir()} == {"card.toml", "weights.safetensors"}
    assert [path.name for path in home().iterdir() if path.is_dir()] == ["models"]


def test_a_home_that_cannot_be_written_is_an_output_error(model, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCOLOR_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="VIDCOLOR_HOME"):
        add_model(str(model))


def test_the_users_folder_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.delenv("VIDCOLOR_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home() == tmp_path / "vidcolor"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".local/share/vidcolor"


def test_a_model_below_here_comes_before_an_added_one_of_its_name(model, tmp_path, monkeypatch):
    add_model(str(model))
    save_model(TINY, TINY.build_network(), tmp_path / "here/models/tiny")
    monkeypatch.chdir(tmp_path / "here")
    assert find_model("tiny") == Path("models/tiny")
    assert [folder for folder in list_models() if folder.name == "tiny"] == [Path("models/tiny")]


def test_a_file_from_the_web_is_installed_if_its_digest_is_known(web, packed):
    web.files["/a/tiny.safetensors"] = packed.read_bytes()
    address = f"{web.address}/a/tiny.safetensors"
    with pytest.raises(ModelError, match=r"could be changed.*--sha256"):
        add_model(address)
    assert web.asked == []
    assert read_card(add_model(address, sha256=sha256(packed)).folder).origin == address
    assert not list((home() / "downloads").glob("*"))


def test_a_safe_address_must_not_lead_to_an_unsafe_one(web, tmp_path, monkeypatch):
    web.files["/file"] = b"content"
    opened = urllib.request.urlopen

    def redirected(request, timeout):
        return opened(f"{web.address}/file", timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", redirected)
    with pytest.raises(ModelError, match=f"{web.address}/file: is not encrypted"):
        fetch(Remote(address="https://safe/file", now_at="https://safe/file"), tmp_path)
    assert not (tmp_path / "file").exists()


def test_a_download_that_broke_goes_on_where_it_was(web, packed):
    content = web.files["/tiny.safetensors"] = packed.read_bytes()
    web.breaks_after = 1000
    address = f"{web.address}/tiny.safetensors"
    seen = []
    for _ in range(2):
        with pytest.raises(ModelError, match=f"broke after .* of {len(content)}.*resume"):
            add_model(address, sha256=sha256(packed))
    web.breaks_after = None
    add_model(address, sha256=sha256(packed), on_bytes=lambda *report: seen.append(report))
    assert [part for _, part in web.asked] == [None, "bytes=1000-", "bytes=2000-"]
    assert seen[-1] == (len(content), len(content))


def test_a_whole_download_is_not_sent_again(web, tmp_path):
    web.files["/file"] = b"content"
    remote = Remote(
        address=f"{web.address}/file",
        now_at=f"{web.address}/file",
        sha256=hashlib.sha256(b"content").hexdigest(),
    )
    for _ in range(2):
        assert fetch(remote, tmp_path).read_bytes() == b"content"
    assert web.asked == [("/file", None), ("/file", "bytes=7-")]


def test_another_file_of_the_same_address_is_begun_anew(web, packed):
    web.files["/tiny.safetensors"] = bytes(5000)
    web.breaks_after = 1000
    address = f"{web.address}/tiny.safetensors"
    with pytest.raises(ModelError, match="broke"):
        add_model(address, sha256=sha256(packed))
    web.files["/tiny.safetensors"] = packed.read_bytes()
    web.breaks_after = None
    add_model(address, sha256=sha256(packed))


def test_a_download_that_was_damaged_is_begun_anew(web, packed):
    web.files["/tiny.safetensors"] = packed.read_bytes()
    web.damages = True
    address = f"{web.address}/tiny.safetensors"
    with pytest.raises(ModelError, match="SHA-256"):
        add_model(address, sha256=sha256(packed))
    web.damages = False
    add_model(address, sha256=sha256(packed))


def test_a_repository_on_the_hub_is_a_models_folder(hub, model):
    weights = (model / "weights.safetensors").read_bytes()
    hub.files["/who/film/resolve/main/card.toml"] = (model / "card.toml").read_bytes()
    hub.files["/who/film/resolve/main/weights.safetensors"] = weights
    done = add_model("hf://who/film", name="theirs")
    assert done.sha256 == sha256(model / "weights.safetensors")
    assert read_card(done.folder) == replace(
        read_card(model), name="theirs", origin="hf://who/film"
    )


def test_of_a_repository_card_and_weights_are_of_one_revision(hub, model):
    for name in ("card.toml", "weights.safetensors"):
        hub.files[f"/who/film/resolve/v1.0/{name}"] = (model / name).read_bytes()
    assert add_model("hf://who/film@v1.0").card.licence == "CC0-1.0"


def test_a_file_and_a_revision_on_the_hub_can_be_chosen(hub, packed):
    hub.files["/who/film/resolve/v1.0/a/tiny.safetensors"] = packed.read_bytes()
    assert add_model("hf://who/film/a/tiny.safetensors@v1.0").sha256 == sha256(packed)


def test_the_hubs_own_digest_is_checked(hub, packed):
    path = "/who/film/resolve/main/tiny.safetensors"
    hub.files[path] = packed.read_bytes()
    with serve() as elsewhere:
        elsewhere.files["/blob"] = b"another file"
        hub.moved[path] = f"{elsewhere.address}/blob"
        with pytest.raises(ModelError, match=f"not {sha256(packed)}"):
            add_model("hf://who/film/tiny.safetensors")


def test_a_token_of_the_hub_is_told_to_no_other_server(hub, packed, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = "/who/film/resolve/main/tiny.safetensors"
    hub.files[path] = packed.read_bytes()
    with serve() as elsewhere:
        elsewhere.files["/blob"] = packed.read_bytes()
        hub.moved[path] = f"{elsewhere.address}/blob"
        add_model("hf://who/film/tiny.safetensors")
        assert "hf_secret" in hub.headers[path]["authorization"]
        assert "hf_secret" not in str(elsewhere.headers)


@pytest.mark.parametrize("source", ["hf://who/film", "http://127.0.0.1:9/tiny.safetensors"])
def test_offline_is_one_clear_line_with_a_way_out(source, monkeypatch, capsys):
    template = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"  # discard: nobody listens
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert run(["models", "add", source, "--sha256", "0" * 64]) == ModelError.exit_code
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"vidcolor: error: {source}")
    assert "cannot be downloaded" in error
    assert "or download the file yourself and give its path" in error


def test_words_that_are_no_source_are_answered_with_what_is_one(tmp_path):
    with pytest.raises(OptionsError, match="hf://OWNER/REPOSITORY"):
        add_model("hf://film")
    with pytest.raises(ModelError, match=r"no such file.*https://"):
        add_model(str(tmp_path / "nothing"))
    with pytest.raises(OptionsError, match="64 digits"):
        add_model("hf://who/film", sha256="abc")


def test_the_list_shows_models_with_scores_and_licences(model, capsys):
    save_model(
        replace(TINY, licence="CC0-1.0", scores={"result": {"psnr_db": 25.4062}}),
        TINY.build_network(),
        model,
    )
    add_model(str(model))
    (added_models() / "broken").mkdir()
    (added_models() / "broken/card.toml").write_text("name = 1")
    assert run(["models", "list"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    row = next(row for row in rows if row[:1] == ["tiny"])
    assert row[:2] == ["tiny", "temporal-unet"]
    assert row[3:] == ["25.41", "n/a", "CC0-1.0", str(added_models() / "tiny")]
    assert any(row[:2] == ["default", "efficient-unet"] for row in rows)
    assert "broken" in err
    assert "lacks" in err


def test_show_tells_all_that_the_card_does(model, capsys):
    add_model(str(model))
    assert run(["models", "show", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "licence: CC0-1.0" in out
    assert f"added from: {model}" in out
    assert "network base_channels: 8" in out
    assert f"SHA-256: {sha256(model / 'weights.safetensors')}" in out
    assert run(["models", "show", "default"]) == 0
    card = tomllib.loads((find_model("default") / "card.toml").read_text())
    out = capsys.readouterr().out
    for metric, value in card["scores"]["result"].items():
        assert any(line.split()[:2] == [metric, f"{value:.4g}"] for line in out.splitlines())


def test_what_is_exported_is_added_again(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["models", "export", str(model), "--out", "out.safetensors"]) == 0
    assert run(["models", "export", str(model), "--out", "out.safetensors"]) == 4
    assert "already exists" in capsys.readouterr().err
    assert run(["models", "add", "out.safetensors", "--name", "again"]) == 0
    assert sha256(tmp_path / "out.safetensors") in capsys.readouterr().out
    theirs, ours = state(model), state(find_model("again"))
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs | ours)
