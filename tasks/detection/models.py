"""Torchvision's detectors for images of 320x320 pixels, with the interface of a task's model.

A truth [B, R, 6] has rows of left, top, right, bottom in pixels, class, and 1 for a crowd; padding rows are all -1.
B = batch, D = detections, R = rows, S = pixels of a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, detection
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from bench.contract import InputError
from tasks.detection.anchor_free import FOUND

Truth = Sequence[dict[str, Tensor]]


class Detector(nn.Module):
    """A detector of torchvision without its own resizing and standardising, which the task does.

    In training it returns its losses by name, for the whole batch. In evaluation it returns the detections `found`
    [B, D, 6] (left, top, right, bottom in pixels, class, score; padding rows are 0) and the `loss` [B], the sum of the
    losses of the `batch` images evaluated together.

    Args:
        net: The detector.
        batch: Images evaluated together, as many as in training: the losses are means over the boxes of a batch.
    """

    def __init__(self, net: Any, batch: int):
        super().__init__()
        self.net, self.batch = net, batch

    def forward(self, images: Tensor, truth_BR6: Tensor) -> dict[str, Tensor]:
        """See the class.

        Args:
            images: [B, 3, S, S], standardised.
            truth_BR6: The boxes.
        """
        if self.training:
            return self.losses(*self._seen(images), truth_BR6)
        parts = zip(torch.split(images, self.batch), torch.split(truth_BR6, self.batch), strict=True)
        answers = [self._read(*part) for part in parts]
        return {name: torch.cat([answer[name] for answer in answers]) for name in ("found", "loss")}

    def _seen(self, images: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """The images in torchvision's container, and their features by level."""
        return ImageList(images, [tuple(images.shape[2:])] * len(images)), self.net.backbone(images)

    def _read(self, images: Tensor, truth_BR6: Tensor) -> dict[str, Tensor]:
        listed, features = self._seen(images)
        detections = torch.stack([_padded(one) for one in self.detections(listed, features)])
        loss = torch.stack([*self.losses(listed, features, truth_BR6).values()]).sum()
        return {"found": detections, "loss": loss.expand(len(images))}

    def losses(self, images: ImageList, features: dict[str, Tensor], truth_BR6: Tensor) -> dict[str, Tensor]:
        """Torchvision's losses, scalars by name."""
        raise NotImplementedError

    def detections(self, images: ImageList, features: dict[str, Tensor]) -> Sequence[dict[str, Tensor]]:
        """Torchvision's detections of each image: boxes, labels and scores."""
        raise NotImplementedError


class SSDLite(Detector):
    """One stage: classes and boxes of default boxes over six levels (arXiv:1512.02325, arXiv:1801.04381)."""

    def losses(self, images: ImageList, features: dict[str, Tensor], truth_BR6: Tensor) -> dict[str, Tensor]:
        """Losses of the boxes (smooth L1) and classes (cross-entropy, three hardest negatives for each positive)."""
        targets, (outputs, anchors) = unpacked(truth_BR6), self._answer(images, features)
        matched = [self._matched(one["boxes"], boxes) for one, boxes in zip(targets, anchors, strict=True)]
        losses: dict[str, Tensor] = self.net.compute_loss(targets, outputs, anchors, matched)
        return losses

    def detections(self, images: ImageList, features: dict[str, Tensor]) -> Sequence[dict[str, Tensor]]:
        """See `Detector`."""
        detections: Sequence[dict[str, Tensor]] = self.net.postprocess_detections(
            *self._answer(images, features), images.image_sizes
        )
        return detections

    def _answer(self, images: ImageList, features: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
        levels = [*features.values()]
        return self.net.head(levels), self.net.anchor_generator(images, levels)

    def _matched(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Index of the box that each default box is matched to; -1 for none."""
        if not len(boxes):
            return torch.full((len(anchors),), -1, dtype=torch.int64, device=anchors.device)
        matched: Tensor = self.net.proposal_matcher(box_iou(boxes, anchors))
        return matched


class FasterRCNN(Detector):
    """Two stages: proposals, and the class and box of each (arXiv:1506.01497).

    Training samples the proposals at random, with the generator that keys dropout; evaluation of the loss samples them
    with a seed of its own. On a GPU, RoIAlign's backward has no fixed order of additions; under deterministic
    algorithms torchvision computes it by other code (`torchvision/ops/roi_align.py`), which it compiles. This has not
    been tested on a GPU.
    """

    def losses(self, images: ImageList, features: dict[str, Tensor], truth_BR6: Tensor) -> dict[str, Tensor]:
        """Losses of both stages: objectness and boxes of proposals, then classes and boxes."""
        targets, stages = unpacked(truth_BR6), (self.net.rpn, self.net.roi_heads)
        if self.training:
            return self._losses(images, features, targets)
        cuda = [truth_BR6.device] if truth_BR6.is_cuda else []
        with torch.random.fork_rng(cuda):
            torch.manual_seed(0)
            for stage in stages:
                stage.training = True  # these two have no BatchNorm; the flag makes them return losses
            try:
                return self._losses(images, features, targets)
            finally:
                for stage in stages:
                    stage.training = False

    def _losses(self, images: ImageList, features: dict[str, Tensor], targets: Truth) -> dict[str, Tensor]:
        proposals, first = self.net.rpn(images, features, targets)
        _, second = self.net.roi_heads(features, proposals, images.image_sizes, targets)
        return {**first, **second}

    def detections(self, images: ImageList, features: dict[str, Tensor]) -> Sequence[dict[str, Tensor]]:
        """See `Detector`."""
        proposals, _ = self.net.rpn(images, features)
        detections: Sequence[dict[str, Tensor]]
        detections, _ = self.net.roi_heads(features, proposals, images.image_sizes)
        return detections


def unpacked(truth_BR6: Tensor) -> Truth:
    """Boxes and labels of each image in torchvision's format: without crowds, and with classes counted from 1."""
    rows = [truth_R6[(truth_R6[:, 4] >= 0) & (truth_R6[:, 5] == 0)] for truth_R6 in truth_BR6]
    return [{"boxes": row[:, :4], "labels": row[:, 4].long() + 1} for row in rows]


def _padded(found: dict[str, Tensor]) -> Tensor:
    """Detections of an image as rows [D, 6], padded with 0."""
    labels = (found["labels"] - 1).to(found["boxes"].dtype)
    rows = torch.cat([found["boxes"], labels[:, None], found["scores"][:, None]], 1)[:FOUND]
    return nn.functional.pad(rows, (0, 0, 0, FOUND - len(rows)))


# ------------------------------------------------------------------------------------------------ building


def ssdlite(classes: int, batch: int, pretrained: bool) -> Detector:
    """SSDLite320 with MobileNetV3-Large: 2.2 million weights for 3 classes."""
    build = detection.ssdlite320_mobilenet_v3_large
    return SSDLite(_built(build, classes, pretrained, detections_per_img=FOUND), batch)


def fasterrcnn(classes: int, batch: int, pretrained: bool) -> Detector:
    """Faster R-CNN with MobileNetV3-Large and a feature pyramid, for small images."""
    build = detection.fasterrcnn_mobilenet_v3_large_320_fpn
    return FasterRCNN(_built(build, classes, pretrained, box_detections_per_img=FOUND), batch)


def _built(build: Callable[..., nn.Module], classes: int, pretrained: bool, **settings: Any) -> nn.Module:
    backbone = _backbone() if pretrained else None
    return build(weights=None, weights_backbone=backbone, num_classes=classes + 1, progress=False, **settings)


def _backbone() -> MobileNet_V3_Large_Weights:
    """Torchvision's weights of ImageNet, in its cache.

    Raises:
        InputError: they are missing; nothing is downloaded.
    """
    weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not (folder / Path(weights.url).name).is_file():
        raise InputError(f"backbone='imagenet': no weights; put {weights.url} into {folder}, or set TORCH_HOME")
    return weights
