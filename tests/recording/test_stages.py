"""Stages are made once, whole or not at all, and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from seg_al.core import Query, Region
from seg_al.recording.checksums import SUMS
from seg_al.recording.files import JSON, METRICS, QUERIES, SCORES, WEIGHTS, Format, loaded, write_record
from seg_al.recording.stages import effort_path, stage
from seg_al.whole_files import write_whole


def test_a_stage_is_made_once_and_loaded_ever_after(tmp_path: Path) -> None:
    made: list[int] = []

    def compute() -> dict[str, int]:
        made.append(1)
        return {"a": 1}

    path = tmp_path / "deep" / "value.json"
    one = stage(path, compute, JSON)
    assert not path.exists(), "what nobody asks for is not made"
    assert one() == one() == stage(path, compute, JSON)() == {"a": 1}
    assert made == [1]


def test_inputs_are_called_before_a_stage_is_made_and_not_for_one_that_is_there(tmp_path: Path) -> None:
    order: list[str] = []
    path = tmp_path / "value.json"

    def value() -> int:
        order.append("value")
        return 1

    for _ in range(2):
        stage(path, value, JSON, [lambda: order.append("input")])()
    assert order == ["input", "value"]


def test_a_stage_that_fails_leaves_no_file_and_is_made_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "value.json"

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        stage(path, fail, JSON)()
    assert not list(tmp_path.iterdir())
    assert stage(path, lambda: 2, JSON)() == 2


def test_a_file_that_could_not_be_written_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_whole(path, lambda partial: partial.write_text("old") and None)

    def full(partial: Path) -> None:
        partial.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, full)
    assert path.read_text() == "old"
    write_whole(path, lambda partial: partial.write_text("new") and None)
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["file.txt"]


def test_the_effort_of_a_stage_is_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "value.json"

    def compute() -> int:
        return len(np.ones(30 * 2**20 // 8).tolist()) and 3

    stage(path, compute, JSON)()
    effort = json.loads(effort_path(path).read_text())
    assert 0 < effort["seconds"] < 60
    assert effort["peak_mib"] > 30


def test_queries_come_back_as_they_were(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((6, 7)) < 0.5
    asked = [
        Query("ä/b.png", Region.of(mask), 'choice 1 of 3 by "bald" = 0.1\n', 0.1 + 0.2),
        Query("c", Region.whole((3, 4)), "initial"),
    ]
    QUERIES.save(asked, tmp_path / "queries.jsonl")
    assert QUERIES.load(tmp_path / "queries.jsonl") == asked
    QUERIES.save([], tmp_path / "none.jsonl")
    assert QUERIES.load(tmp_path / "none.jsonl") == []


def test_weights_come_back_bit_for_bit_and_nothing_else_is_loaded(tmp_path: Path) -> None:
    weights = [{"w": torch.randn(3, generator=torch.Generator().manual_seed(0)), "n": torch.tensor(7)}]
    WEIGHTS.save(weights, tmp_path / "weights.pt")
    (found,) = WEIGHTS.load(tmp_path / "weights.pt")
    assert torch.equal(found["w"], weights[0]["w"])
    assert found["n"].dtype == torch.int64
    torch.save([Path("x")], tmp_path / "object.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        WEIGHTS.load(tmp_path / "object.pt")


def test_metrics_keep_every_digit(tmp_path: Path) -> None:
    values = {"b": 1 / 3, "a": [1e-300, 2.0, None]}
    JSON.save(values, tmp_path / "value.json")
    assert JSON.load(tmp_path / "value.json") == values
    assert (tmp_path / "value.json").read_text().index('"a"') < (tmp_path / "value.json").read_text().index('"b"')


@pytest.mark.parametrize(
    ("name", "form", "content"),
    [
        ("metrics.json", JSON, b""),
        ("metrics.json", JSON, b'{"a": \xff}'),
        ("queries.jsonl", QUERIES, b'{"image": "a", "score": 1.0}\n'),
        ("queries.jsonl", QUERIES, b"{\n"),
        ("weights.pt", WEIGHTS, None),
        ("weights.pt", WEIGHTS, b"no archive"),
    ],
)
def test_a_damaged_file_is_named_with_what_makes_it_anew(name, form, content, tmp_path: Path) -> None:
    path = tmp_path / name
    WEIGHTS.save([{"w": torch.zeros(20_000)}], path)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read, .*; remove it and run the same command again"):
        stage(path, lambda: pytest.fail("is not made while it is there"), form)()


SQUARE = [Query("a", Region.whole((3, 4)), "initial"), Query("b", Region.whole((3, 4)), "initial")]
TABLE = pd.DataFrame({"image": ["a", "b"], "bald": [0.25, 0.5]})
NUMBERS = {"cost": {"images": 2.0}, "metrics": {"test/dice": 0.5}}
KEPT: list[tuple[str, Format[Any], object]] = [
    ("queries.jsonl", QUERIES, SQUARE),
    ("metrics.json", METRICS, NUMBERS),
    ("scores.parquet", SCORES, TABLE),
    ("weights.pt", WEIGHTS, [{"w": torch.arange(20_000.0)}]),
]


@pytest.mark.parametrize(("name", "form", "value"), KEPT, ids=[one[0] for one in KEPT])
def test_a_flipped_bit_anywhere_in_a_file_is_noticed(name, form, value, tmp_path: Path) -> None:
    path = tmp_path / name
    write_record(path, value, form)
    loaded(path, form)
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 25).astype(int):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(ValueError, match=rf"{name} cannot be read, .*; remove it and run the same command again"):
            loaded(path, form)


@pytest.mark.parametrize("lines", [0, 1])
def test_queries_that_lost_whole_lines_are_not_taken_for_fewer(lines: int, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    write_record(path, SQUARE, QUERIES)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(ValueError, match="its checksum is not the one"):
        loaded(path, QUERIES)


def test_files_without_a_checksum_are_taken_as_they_are(tmp_path: Path) -> None:
    QUERIES.save(SQUARE, tmp_path / "queries.jsonl")
    assert loaded(tmp_path / "queries.jsonl", QUERIES) == SQUARE
    write_record(tmp_path / "metrics.json", NUMBERS, METRICS)
    assert loaded(tmp_path / "queries.jsonl", QUERIES) == SQUARE


@pytest.mark.parametrize("content", ["", "[]", '{"metrics.json": 3}', "null", "[" * 100_000])
def test_damaged_checksums_are_named(content: str, tmp_path: Path) -> None:
    write_record(tmp_path / "metrics.json", NUMBERS, METRICS)
    (tmp_path / SUMS).write_text(content)
    with pytest.raises(ValueError, match=r"checksums\.json .*remove it, and the files beside it are read unchecked$"):
        loaded(tmp_path / "metrics.json", METRICS)


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"cost": 3, "metrics": {}}', "[" * 100_000])
def test_metrics_of_another_shape_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ValueError, match=r"metrics\.json cannot be read, .*; remove it and run"):
        loaded(tmp_path / "metrics.json", METRICS)
