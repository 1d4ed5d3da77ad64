"""What every file in conf/ and experiments/ keeps, and what no module of seg_al may do; new files are found."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from hydra.utils import instantiate

import run
from experiments import ROOT, TINY, composed
from seg_al.running.config_check import require_right
from seg_al.running.groups import GROUPS
from seg_al.running.option_files import option_of

CONF = ROOT / "conf"
OPTIONS = sorted((group, path.stem) for group in GROUPS for path in (CONF / group).glob("*.yaml"))
STUDIES = sorted(path for path in (ROOT / "experiments").glob("*.yaml"))
MODULES = sorted((ROOT / "seg_al").rglob("*.py"))
SACRED = {"backends.py", "sacred_run.py", "observers.py"}
BY_RUN = {"seg_al.models": {"classes"}, "seg_al.annotators.oracle": {"dataset", "task"}, "torch.optim": {"params"}}
"""Parameters of partial targets that the harness gives, not the config."""
FOREIGN = ("torch.", "builtins.")
"""Targets whose many defaults are their library's; their given keys are checked all the same."""


def nodes(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_`, with its path."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield path, dict(value)
        for key, one in value.items():
            yield from nodes(one, f"{path}.{key}")
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from nodes(one, f"{path}.{place}")


def parameters(target: str) -> set[str]:
    module, _, name = target.rpartition(".")
    found = inspect.signature(getattr(import_module(module), name)).parameters.values()
    return {one.name for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_an_option_says_all_that_its_target_takes_and_nothing_else(group: str, option: str) -> None:
    """No default hides in Python: what is not written in the yaml cannot be seen, swept or recorded."""
    found = list(nodes(option_of(CONF / group / f"{option}.yaml", group), group))
    assert found[0][0] == group, "the option itself has a _target_"
    for path, node in found:
        target = node["_target_"]
        given = {key for key in node if key not in ("_target_", "_partial_")}
        expected = parameters(target)
        if node.get("_partial_"):
            expected -= next((names for prefix, names in BY_RUN.items() if target.startswith(prefix)), set())
        assert given <= expected, path
        if not target.startswith(FOREIGN):
            assert given == expected, path


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_an_option_fits_the_types_and_instantiates(group: str, option: str, tmp_path: Path) -> None:
    root = [f"dataset.root={tmp_path}", *TINY] if (group, option) == ("dataset", "glands") else []
    cfg, choices = composed(f"{group}={option}", *root)
    assert choices[group] == option
    require_right(run.plain(cfg))  # raises where a type does not fit
    if option == "superpixel_seeds" and not hasattr(cv2, "ximgproc"):
        pytest.skip("this OpenCV has no SEEDS; its keys and types fit")
    if group == "dataset" and not root:
        pytest.skip("its images are not here; its keys and types fit")
    assert instantiate(cfg[group], _convert_="all") is not None


def values_of(text: str) -> Iterator[tuple[int, str]]:
    """Lines that give a value, with their number; keys that open a block, targets and the defaults list do not.

    Nor do colours of a palette, whose meaning stands beside the palette.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if re.fullmatch(r"[\w ]+: \[\d+, \d+, \d+\]", stripped):
            continue
        if re.match(r"(- )?[\w/]+:\s*[^\s#|>]", stripped) and not re.match(r"_(target|partial)_:", stripped):
            yield number, line


@pytest.mark.parametrize(
    "path", [CONF / "config.yaml", *(CONF / group / f"{option}.yaml" for group, option in OPTIONS)],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_every_value_has_its_unit_or_meaning_beside_it(path: Path) -> None:
    skipped = {"- hydra: settings"}
    rows = [(number, line) for number, line in values_of(path.read_text()) if line.strip() not in skipped]
    bare = [f"{path.name}:{number}: {line}" for number, line in rows if not re.search(r"\s#\s*\S.{3}", line)]
    assert not bare


def test_the_root_config_has_exactly_the_settings_that_are_typed() -> None:
    cfg = yaml.safe_load((CONF / "config.yaml").read_text())
    assert set(cfg) - {"defaults"} == parameters("seg_al.running.settings.Settings")
    chosen = [key for entry in cfg["defaults"] if isinstance(entry, dict) for key in entry]
    assert [key for key in chosen if key in GROUPS] == list(GROUPS)


def test_every_group_of_conf_is_known_to_run_py_and_to_the_other_way_round() -> None:
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {*GROUPS, "hydra"}


@pytest.mark.skipif(not STUDIES, reason="no study is published yet")
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_composes_and_says_its_question_command_and_expected_result(path: Path) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    text = path.read_text()
    header = "\n".join(line for line in text.splitlines() if line.startswith("#")).lower()
    assert "question" in header
    assert "expect" in header
    assert re.search(rf"command: +(make|python run\.py .*-cn {path.stem}\b)", header)
    search = f"hydra.searchpath=[file://{CONF}]"
    with initialize_config_dir(version_base="1.3", config_dir=str(path.parent)):
        cfg = compose(path.stem, [search], return_hydra_config=True)
    assert cfg.hydra.sweeper.params, "it sweeps"
    require_right(run.plain(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])))


ARMS = sorted((ROOT / "experiments").glob("*/arm/*.yaml"))


@pytest.mark.parametrize("path", ARMS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_an_arm_of_a_study_composes_and_is_swept(path: Path) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    study = path.parents[1].name
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "experiments")):
        words = [f"hydra.searchpath=[file://{CONF}]", f"{study}/arm={path.stem}"]
        cfg = compose(study, words, return_hydra_config=True)
    assert path.stem in cfg.hydra.sweeper.params[f"{study}/arm"].split(",")
    require_right(run.plain(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])))
    for entry in yaml.safe_load(path.read_text())["defaults"]:
        ((key, option),) = entry.items()
        assert cfg.hydra.runtime.choices[key.removeprefix("override /")] == option


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of all imported packages, wherever the import stands."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    called = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func)
    )
    names |= {ast.literal_eval(call.args[0]) for call in called if call.args and isinstance(call.args[0], ast.Constant)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_knows_no_hydra_and_sacred_only_where_runs_are_tracked(path: Path) -> None:
    names = imported(ast.parse(path.read_text()))
    assert not names & {"hydra", "omegaconf"}
    assert "sacred" not in names or path.name in SACRED


GLOBAL_RNG = re.compile(
    r"^(np|numpy)\.random\.(?!default_rng$|Generator$|SFC64$|PCG64$|SeedSequence$|BitGenerator$)\w+$"
    r"|^random\.\w+$"
    r"|^torch\.(manual_seed|seed|cuda\.manual_seed\w*)$"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_draws_from_no_global_generator(path: Path) -> None:
    """randomness.py alone may seed torch's, and puts it back."""
    tree = ast.parse(path.read_text())
    assert "random" not in imported(tree), "Python's own generator is global"
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    allowed = {"torch.manual_seed"} if path.name == "randomness.py" else set()
    assert [call for call in calls if GLOBAL_RNG.match(call) and call not in allowed] == []


def test_the_search_for_global_generators_finds_them() -> None:
    for call in ("np.random.seed", "numpy.random.rand", "np.random.shuffle", "random.choice", "torch.manual_seed"):
        assert GLOBAL_RNG.match(call)
    for call in ("np.random.default_rng", "rng.random", "np.random.SFC64", "torch.Generator", "self.random"):
        assert not GLOBAL_RNG.match(call)


def test_no_module_lists_a_folder_without_sorting() -> None:
    """The order of a file system is nobody's seed."""
    bare = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            listing = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "iterdir",
                "glob",
                "rglob",
            )
            above = node
            while listing and id(above) in parents and not isinstance(above, ast.stmt):
                above = parents[id(above)]
                if isinstance(above, ast.Call) and ast.unparse(above.func) in ("sorted", "max", "min", "any", "sum"):
                    break
            else:
                if listing:
                    bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
