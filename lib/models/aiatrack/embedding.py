"""Which cells of a reference frame are target, which background.

Source: the paper, section 3.3; spec section 2.
"""

import torch
from torch import Tensor


def target_cells(box_xywh_crop: Tensor, height: int, width: int) -> Tensor:
    """Mark the cells that a box covers.

    x, y, w, h in cells are each rounded on their own (half to even), so the far edge is round(x) +
    round(w). A box of negative size, which a prediction can be, covers nothing.

    Args:
        box_xywh_crop: (B, 4), fractions of the crop.
        height, width: grid size in cells.

    Returns:
        (B, height*width) bool, row-major.
    """
    size = box_xywh_crop.new_tensor([width, height, width, height])
    x, y, w, h = (box_xywh_crop.float() * size).round()[:, :, None].unbind(1)  # (B, 1) each
    columns = torch.arange(width, device=x.device)
    rows = torch.arange(height, device=x.device)
    in_columns = (columns >= x) & (columns < x + w)  # (B, width)
    in_rows = (rows >= y) & (rows < y + h)  # (B, height)
    return (in_rows[:, :, None] & in_columns[:, None, :]).flatten(1)
