"""The cells of a job, as validation/dump_cells.c writes them."""

from pathlib import Path

import numpy as np
import torch


class Cells:
    """x (n, width), text (labels, text width), a label and a class per head of every cell, and the
    rows of train, validation and test. order: the training cells as the first epoch takes them."""

    def __init__(self, prefix):
        def array(name, kind):
            return torch.from_numpy(np.fromfile(f"{prefix}.{name}", kind))

        shape = Path(f"{prefix}.shape").read_text().split()
        n, self.width, self.donors, self.labels, self.text_width = map(int, shape)
        self.x = array("x.f32", np.float32).view(n, self.width)
        self.text = array("text.f32", np.float32).view(self.labels, self.text_width)
        self.label = array("label.i32", np.int32).long()
        self.codes = [array("target.i32", np.int32).long(), array("adversary.i32", np.int32).long()]
        self.order = array("order.i32", np.int32).long()
        split = array("split.u8", np.uint8)
        self.split = [torch.nonzero(split == part).flatten() for part in range(3)]

    def text_of(self, rows):
        return self.text[self.label[rows]]
