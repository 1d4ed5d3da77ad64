"""A seed is a function of its address alone."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from seg_al.randomness import numpy_rng, seed_of, torch_seeded

ADDRESSES = [
    (), (0,), (1,), ("1",), (-1,), (10,), (1, 0), (0, 1), (1, "0"), ("", ""), ("",), ("ab", "c"), ("a", "bc"), ("abc",),
    ("a", "b", "c"), (3, 2, "image_7.png", 0, 19), (3, 2, "image_7.png", 1, 9), ("int:1",), ("1\n",), ("int", 1),
]  # fmt: skip


def test_seeds_are_known_numbers_that_no_platform_or_release_changes() -> None:
    assert seed_of(0, "weights") == 459904764875825427
    assert seed_of(3, 2, "train_1", 0, 19, "steps.1.dropout") == 6255229507500537067


def test_types_boundaries_and_order_make_different_addresses() -> None:
    seeds = [seed_of(*address) for address in ADDRESSES]
    assert len(set(seeds)) == len(ADDRESSES)


def test_seeds_fit_every_generator() -> None:
    seeds = [seed_of("seed", number) for number in range(2000)]
    assert len(set(seeds)) == 2000
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert max(seeds) > 2**62  # all 63 bits are used
    torch.Generator().manual_seed(max(seeds))


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 61, 62])
def test_each_bit_of_a_seed_is_a_fair_coin_over_neighbouring_addresses(bit: int) -> None:
    ones = sum(seed_of(0, 1, "image", number) >> bit & 1 for number in range(4096))
    assert abs(ones - 2048) < 5 * 32  # five standard deviations


def test_seeds_do_not_depend_on_the_process() -> None:
    program = "from seg_al.randomness import numpy_rng, seed_of; print(seed_of(7, 'a'), numpy_rng(7, 'a').integers(99))"
    told = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": "1"}, check=True, capture_output=True
    )
    assert told.stdout.decode() == f"{seed_of(7, 'a')} {numpy_rng(7, 'a').integers(99)}\n"


def test_numpy_rng_gives_the_same_numbers_for_the_same_address_only() -> None:
    first = numpy_rng(1, "select").random(8)
    np.testing.assert_array_equal(first, numpy_rng(1, "select").random(8))
    assert not np.array_equal(first, numpy_rng("1", "select").random(8))


def test_torch_seeded_draws_by_address_and_puts_the_generator_back() -> None:
    torch.manual_seed(5)
    expected = torch.rand(6)
    torch.manual_seed(5)
    start = torch.rand(3)
    with torch_seeded(1, "weights"):
        inside = torch.rand(4)
    rest = torch.rand(3)
    assert torch.equal(torch.cat([start, rest]), expected)
    with torch_seeded(1, "weights"):
        assert torch.equal(torch.rand(4), inside)
    with torch_seeded(2, "weights"):
        assert not torch.equal(torch.rand(4), inside)


def test_torch_seeded_puts_the_generator_back_after_an_error() -> None:
    before = torch.random.get_rng_state()

    def fail() -> None:
        with torch_seeded("x"):
            torch.rand(1)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_torch_seeded_nests() -> None:
    with torch_seeded("outer"):
        whole = torch.rand(4)
    with torch_seeded("outer"):
        first = torch.rand(2)
        with torch_seeded("inner"):
            torch.rand(9)
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), whole)
