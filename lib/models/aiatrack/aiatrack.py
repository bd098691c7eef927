"""AiATrack: encode frames, memorize them, decode a search frame against them, read off box and IoU.

Source: the paper, section 3; docs/method.md, section 2. It takes values and tensors, build.py reads
the configuration. Names of parameters are those of the released files.

B targets, R references, P proposals, S crop side in pixels, H = W = S/16, N = H*W, C width, D match
width. Images are RGB, float in [0,1] or uint8, masks bool with True on padding, boxes in fractions
of the crop.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lib.config.aiatrack.requirements import STRIDE
from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.head import CornerHead, IoUHead, sharpness, squared_positions
from lib.models.aiatrack.position_encoding import PositionEncodings
from lib.models.aiatrack.references import KeyValue, References, concat_references
from lib.models.aiatrack.transformer import LayerOptions, Transformer
from lib.utils.box_ops import xyxy_to_xywh


class Encoded(NamedTuple):
    """A frame after the encoder."""

    tokens: Tensor  # (B, N, C)
    inner_pos: Tensor  # (B, N, D)


class Prediction(NamedTuple):
    """What training compares with the annotations."""

    box_xyxy: Tensor  # (B, 4) in fractions of the crop; (B*(1+R), 4) where every frame is sought
    iou: Tensor  # (B, P) on the scale of 2 * IoU - 1; (B, P+1) where the own box is scored too
    corner_scores: Tensor  # (B, 2, H, W) or (B*(1+R), ...) float32 logits, cell i at i / W


class Normalisation(nn.Module):
    """Images of mean 0 and standard deviation 1 per channel."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """Take the (3,) mean and standard deviation of RGB in [0, 1]."""
        super().__init__()
        self.mean = nn.Buffer(mean.view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(std.view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB, float in [0, 1] or uint8 -> the same, float."""
        if image.dtype == torch.uint8:
            image = image / 255
        return (image - self.mean) / self.std


class AiATrack(nn.Module):
    """The whole network. `forward` is for training; tracking calls encode, memorize and decode."""

    squares: Tensor | None  # for `sharpness`

    def __init__(
        self,
        backbone: Backbone,
        encoder_layers: int,
        options: LayerOptions,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        *,
        coverage: bool = False,
        score_sharpness: bool = False,
    ) -> None:
        """Put the parts together, in the order of the reference's optimizer.

        Args:
            mean, std: per RGB channel, of images in [0, 1].
            coverage: mark cells of a reference by the share of each that its box covers, instead of
                rounding the box to whole cells.
            score_sharpness: boxes that are found are scored by their predicted IoU times how
                surely the corners are placed, `sharpness`.
        """
        super().__init__()
        self.transformer = Transformer(encoder_layers, options)
        self.box_head = CornerHead(options.dim)
        self.foreground_embed = nn.Embedding(1, options.dim)
        self.background_embed = nn.Embedding(1, options.dim)
        self.bottleneck = nn.Conv2d(backbone.channels, options.dim, 1)
        # A sequence of one: the released names say backbone.0.body.
        self.backbone = nn.Sequential(backbone)
        self.iou_head = IoUHead(options.dim)
        self.positions = PositionEncodings(options.dim, options.match_dim)
        self.grid = round(options.tokens**0.5)  # H
        self.cells = nn.Buffer(torch.arange(self.grid), persistent=False)
        squares = squared_positions(self.grid) if score_sharpness else None
        self.register_buffer("squares", squares, persistent=False)
        self._mark = covered_shares if coverage else target_cells
        self.normalisation = Normalisation(torch.tensor(mean), torch.tensor(std))
        self.memory_format = torch.contiguous_format  # of images: that of the convolutions

    def encode(self, image: Tensor, mask: Tensor | None = None) -> Encoded:
        """Encode crops on their own: (B, 3, S, S) and (B, S, S) -> tokens and inner positions.

        No mask says that no crop has padding, which spares the work on positions where it is known.
        """
        return self.encode_at(image, *self.encode_positions(mask, len(image)))

    def encode_at(self, image: Tensor, pos: Tensor, inner_pos: Tensor) -> Encoded:
        """Encode crops whose position encodings are known, (B, N, C) and (B, N, D)."""
        features = self.bottleneck(self.backbone(self.normalisation(image)))  # (B, C, H, W)
        tokens = features.flatten(2).transpose(1, 2)  # (B, N, C)
        return Encoded(self.transformer.encoder(tokens, pos, inner_pos), inner_pos)

    def encode_positions(self, mask: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        """Position encodings of `count` crops: outer (B, N, C) and inner (B, N, D)."""
        if mask is None:
            return self.positions.unpadded(count, self.grid, self.cells.device)
        return self.positions(mask[:, ::STRIDE, ::STRIDE])  # (B, H, W): nearest neighbour

    def memorize(
        self, encoded: Encoded, box_xywh_crop: Tensor, *, long_term: bool = True
    ) -> References:
        """Turn an encoded frame with its (B, 4) target box into a reference for `decode`.

        Args:
            long_term: False leaves out what only the first frame of a video needs.
        """
        share = self._mark(box_xywh_crop, self.cells)[..., None]  # (B, N, 1)
        foreground, background = self.foreground_embed.weight, self.background_embed.weight
        embedding = torch.lerp(background, foreground, share.to(foreground.dtype))  # (B, N, C)
        long, short = self.transformer.decoder.project(
            encoded.tokens, encoded.tokens + embedding, long_term=long_term
        )
        return References(long, short, encoded.inner_pos)

    def decode(self, encoded: Encoded, first: References, recent: References) -> Tensor:
        """Relate search frames to the first frame and to R recent ones -> features (B, C, H, W)."""
        tokens = self.transformer.decoder(encoded.tokens, first, recent)  # (B, N, C)
        return tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))

    def locate(
        self, encoded: Encoded, first: References, recent: References
    ) -> tuple[Tensor, Tensor]:
        """Find targets in search frames: (B, 4) xywh, and (B, 1) predicted 2 * IoU - 1 of each."""
        features = self.decode(encoded, first, recent)
        box_xyxy, maps = self.box_head(features)
        box_xywh_crop = xyxy_to_xywh(box_xyxy)
        score = self.iou_head(features, box_xywh_crop[:, None])
        if self.squares is not None:
            score = (score + 1) * sharpness(maps, box_xyxy, self.squares) - 1
        return box_xywh_crop, score

    def forward(
        self,
        search: Tensor,
        search_mask: Tensor,
        references: Tensor,
        reference_masks: Tensor,
        reference_boxes: Tensor,
        proposals: Tensor,
        search_box: Tensor | None = None,
        recent_boxes: Tensor | None = None,
        score_own: bool = False,
    ) -> Prediction:
        """One training step's forward: backbone and encoder run once on all B * (1 + R) crops.

        Args:
            search, search_mask: (B, 3, S, S), (B, S, S).
            references, reference_masks: (B, R, 3, S, S), (B, R, S, S), R >= 2, the long-term first.
            reference_boxes: (B, R, 4) xywh.
            proposals: (B, P, 4) xywh, boxes to score.
            search_box: (B, 4) xywh. If given, every frame is sought in turn by the others.
            recent_boxes: (B, 1+R, 4) xywh of references and search frame, in temporal order: where
                they are marked as recent references, if not at their boxes.
            score_own: score the predicted box of the search frame too, after the proposals.
        """
        batch, count = reference_boxes.shape[:2]
        # Encode all frames, the search frames in front.
        images = torch.cat([search, references.transpose(0, 1).flatten(0, 1)])  # (B*(1+R), 3, S, S)
        masks = torch.cat([search_mask, reference_masks.transpose(0, 1).flatten(0, 1)])
        encoded = self.encode(images, masks)
        # Memorize the frames whose boxes are known: all of them, or all but the search frames.
        boxes = [b for b in (search_box, *reference_boxes.unbind(1)) if b is not None]
        skipped = len(images) - batch * len(boxes)
        known = Encoded(*(x[skipped:] for x in encoded))
        memory = self.memorize(known, torch.cat(boxes))
        if recent_boxes is not None:
            marks = recent_boxes.roll(1, 1).transpose(0, 1).flatten(0, 1)[skipped:]
            memory = memory._replace(short=self.memorize(known, marks, long_term=False).short)
        # Decode what is sought: the next frame is its first reference, those after it the recent.
        rows = batch if search_box is None else len(images)
        start = batch - skipped
        first, *recent = (_rows_from(memory, start + i * batch, rows) for i in range(count))
        sought = Encoded(*(x[:rows] for x in encoded))
        features = self.decode(sought, first, concat_references(recent))
        # Read off boxes, and score proposals in the search frames.
        box_xyxy, scores = self.box_head(features)
        if score_own:
            own = xyxy_to_xywh(box_xyxy[:batch].detach())[:, None]  # (B, 1, 4)
            proposals = torch.cat([proposals, own.to(proposals.dtype)], 1)
        return Prediction(box_xyxy, self.iou_head(features[:batch], proposals), scores)


def target_cells(box_xywh_crop: Tensor, cells: Tensor) -> Tensor:
    """Mark the cells that a box covers; the others are background.

    x, y, w, h in cells are each rounded on their own (half to even), so the far edge is round(x) +
    round(w). A box of negative size, which a prediction can be, covers nothing.

    Args:
        box_xywh_crop: (B, 4), fractions of the crop.
        cells: (H,) 0, 1, ..., H - 1, numbers of the cells along each side.

    Returns:
        (B, H*H) bool, row-major.
    """
    rounded = (box_xywh_crop.float() * len(cells)).round()[..., None]  # (B, 4, 1)
    start, size = rounded.split(2, 1)  # (B, 2, 1): along x, along y
    columns, rows = ((cells >= start) & (cells < start + size)).unbind(1)  # (B, grid) each
    return (rows[:, :, None] & columns[:, None, :]).flatten(1)


def covered_shares(box_xywh_crop: Tensor, cells: Tensor) -> Tensor:
    """The share of each cell that a box covers; rounded cells lie up to half a cell beside it.

    Args:
        box_xywh_crop: (B, 4), fractions of the crop; a box of negative size covers nothing.
        cells: as of `target_cells`.

    Returns:
        (B, H*H) float32 in [0, 1], row-major.
    """
    start, size = (box_xywh_crop.float() * len(cells))[..., None].split(2, 1)  # (B, 2, 1) each
    shares = torch.minimum(start + size, cells + 1) - torch.maximum(start, cells)  # (B, 2, H)
    across, down = shares.clamp(0, 1).unbind(1)
    return (down[:, :, None] * across[:, None, :]).flatten(1)


def _rows_from(references: References, start: int, count: int) -> References:
    """Take `count` rows from `start` on; the first rows follow the last ones."""
    long, short = (
        KeyValue(*(x.roll(-start, 0)[:count] for x in part))
        for part in (references.long_term(), references.short)
    )
    return References(long, short, references.inner_pos.roll(-start, 0)[:count])
