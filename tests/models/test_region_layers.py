"""Region layers against torchvision's and PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign

from seg_al.models.region_layers import RegionConvolutions, RegionPooling

SIZE = (160, 224)


def pyramid() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        str(level): torch.rand(1, 8, SIZE[0] >> level + 2, SIZE[1] >> level + 2, generator=generator)
        for level in range(4)
    }


def regions() -> Tensor:
    """Of all sizes, at the border, thin, empty, and as large as the image."""
    low = torch.rand(200, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor(SIZE[::-1])
    boxes = torch.cat([low, low + torch.linspace(0, 220, 400).view(200, 2)], 1)
    boxes[:5] = torch.tensor([[0, 0, 224, 160], [0, 0, 224, 3], [220, 157, 224, 160], [7, 9, 7, 9], [0, 0, 2, 160]])
    return torch.minimum(boxes, torch.tensor([224.0, 160.0, 224.0, 160.0]))


@pytest.mark.parametrize("points", [7, 14])
def test_pooling_gives_torchvisions_numbers(points: int) -> None:
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], points, 2)
    with torch.inference_mode():
        pooled = RegionPooling(points)(pyramid(), [regions()], [SIZE])
        expected = theirs(pyramid(), [regions()], [SIZE])
        none = RegionPooling(points)(pyramid(), [regions()[:0]], [SIZE])
    torch.testing.assert_close(pooled, expected, atol=1e-6, rtol=0)
    assert none.shape == (0, 8, points, points)


@pytest.mark.parametrize("count", [3, 40])
def test_convolutions_give_the_numbers_of_direct_ones(count: int) -> None:
    torch.manual_seed(0)
    layers = RegionConvolutions(24, (32, 16))
    regions = torch.rand(count, 24, 14, 14)
    expected = regions.double()
    for block in layers:
        conv: nn.Conv2d = block[0]
        weight, bias = conv.weight.double(), conv.bias.double() if conv.bias is not None else None
        expected = nn.functional.conv2d(expected, weight, bias, padding=1).relu()
    with torch.inference_mode():
        torch.testing.assert_close(layers.convolved(regions).double(), expected, atol=1e-5, rtol=0)
    assert list(layers.state_dict()) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]


def test_training_convolves_as_torchvision_does_to_the_last_bit() -> None:
    torch.manual_seed(0)
    layers, regions = RegionConvolutions(8, (8,)), torch.rand(20, 8, 14, 14)
    expected = nn.functional.conv2d(regions, layers[0][0].weight, layers[0][0].bias, padding=1).relu()
    assert torch.equal(layers.convolved(regions), expected)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers.convolved(regions).dtype == torch.bfloat16
