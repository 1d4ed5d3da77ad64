"""A password and a ~ are refused in any text of the config, before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments import composed, perform, tiny
from seg_al.running.identity import folder_of_run
from seg_al.tracking.secrets import holds_secret, without_secrets

SECRETS = (
    "mongodb://me:s3cret@host/",
    "see mongodb+srv://me:s3/cret@host for all runs",
    "https://s3cret@example.org/x.git",
    "http://h/?token=s3cret",
    "http://h/?a=1&access_token=s3cret",
    "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:s3cret",
    "password=s3cret",
    "API_KEY=s3cret",
    "api-key=s3cret",
    "HTTPS://s3cret@example.org/x.git",
    "the password: s3cret",
    "Password = s3cret",
    '{"password": "s3cret"}',
)


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_found_and_blotted(text: str) -> None:
    assert holds_secret(text)
    assert "cret" not in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://host:27017/",
        "mongodb://me@host/",
        "at 10:30 ask me@example.org",
        "{split}/images/{name}.*",
        "5 tokens",
        "no password",
        "password: ***",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert not holds_secret(text)
    assert without_secrets(text) == text


@pytest.mark.parametrize("key", ["notes", "tags", "dataset.root", "model.sites"])
def test_a_password_anywhere_in_the_config_is_refused_and_written_nowhere(key: str, data: Path, tmp_path: Path) -> None:
    value = "'mongodb://me:s3cret@host/'"
    with pytest.raises(ValueError, match=rf"{key} holds a password or a token") as raised:
        perform(data, tmp_path / "run", f"{key}={f'[{value}]' if key == 'tags' else value}")
    assert "cret" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["runs", "folder", "evaluate", "dataset.root"])
def test_a_tilde_that_no_shell_expanded_is_refused_with_its_key(key: str, data: Path, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"{key}=~/x: ~ is not expanded here; .*\$HOME/x"):
        perform(data, tmp_path / "run", f"{key}='~/x'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["../dataset/glands", "a/b", "..", "/etc"])
def test_an_option_with_a_path_does_not_put_the_run_elsewhere(option: str) -> None:
    _, choices = composed()
    with pytest.raises(ValueError, match="without a path"):
        folder_of_run({"run": 0, "runs": "runs", "folder": None}, {**choices, "dataset": option})


@pytest.mark.parametrize("kind", ["empty", "text", "folder", "fifo", "device", "list"])
def test_what_is_no_file_of_weights_is_not_evaluated(kind: str, data: Path, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("weights\n" * 100)
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "list":
            import torch

            torch.save([], path)
    with pytest.raises(ValueError, match=rf"evaluate={path}: .*give the weights\.pt of a run's round"):
        tiny(data).measure(path, tmp_path)


def test_a_folder_with_other_things_gets_no_lock(data: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with pytest.raises(ValueError, match="not the folder of a run: it has etc"):
        perform(data, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["etc"]
