#!/usr/bin/env python3
"""What a training step of configs/base.yaml costs a GPU, node by node, from its shapes.

    cost_model.py                  prints the tables of cost_model.md
    cost_model.py --write          sets them there, below the line that says so
    cost_model.py --check [NODES]  holds the sum of FLOPs against cz_model_flops (./czhpc --dry-run)
                                   and the nodes' order against the emulation's (nodes.txt)
    cost_model.py --labels PREFIX  how many cells of a batch have its commonest label, of what
                                   build/release/validation/dump_cells configs/base.yaml PREFIX wrote

Nothing here was measured on a GPU; the constants below say what is assumed.
"""

import math
import re
import subprocess
import sys
from array import array
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
BELOW = "## The tables, by cost_model.py --write"

# base.yaml
B, T, F, D, H, L, S = 128, 8, 256, 256, 8, 61, 16  # S: labels
WIDTH, TEXT, FEEDFORWARD, CLASSES = 512, 768, 2048, (14, 2)
PARAMETERS = 2230544
STEPS, SECONDS = 8700, 2.0  # of 50 epochs, and within what they are wanted
N, M = B * T, S * T  # tokens of cells, of labels
LARGEST_LABEL = 45  # cells of a batch with its commonest label, the mean of an epoch: --labels
SLOT_QUERIES, SLOT_BLOCKS = 64, 8  # attention.cu: queries of a label at once, most blocks of one

# An H200
HBM = 4.3e12  # bytes/s; L2 is counted at the same rate, which it surpasses
TENSOR = 790e12  # FLOP/s in bf16, all SMs
FP32 = 60e12
SMS = 132
FLOOR = 2.0  # us from a node of a graph to the next that waits for it
JOIN = 1.0  # us more where it waits for one of either stream
PHASE = 0.7  # us between two barriers of a block that only waits for memory
TILE = 128
TILE_SHARE = 0.7  # of a tensor core's rate that a short loop over K reaches
TILE_ENDS = 1.5  # us: first tiles of a and b into shared memory, result out of registers
SPLIT_K, SPLIT_COST = 256, 1.0  # shortest part of K, and us to sum the parts
FMA_SHARE = 0.5  # of FP32 that our kernels reach
OWN_SHARE = 0.25  # of an SM's tensor cores that a block of our own tiles reaches
FULL_SHARE = 0.5  # and several blocks together, where others have work while one waits
ENOUGH = 3 * SMS  # blocks: deferred.cu


@dataclass
class Node:
    part: str
    kind: str  # as the emulation names it
    what: str
    flops: float = 0
    bytes: float = 0
    blocks: int = 1
    phases: int = 1  # of a block, one after the other
    tensor: float = 0  # us of a product beyond its memory
    plain: float = 0  # FLOP that no tensor core does, where `flops` are theirs
    hbm: bool = False
    beside: bool = False  # on the second stream, behind all that was asked for before
    joins: str = ""  # the part whose last node of the second stream it waits for; "all": its last

    def best(self):
        """us where nothing is in the way of bandwidth or arithmetic."""
        by_tiles = self.kind in ("product", "deferred") or self.plain
        arithmetic = self.flops / (TENSOR if by_tiles else FP32) + self.plain / FP32
        return max(FLOOR, 1e6 * self.bytes / HBM, 1e6 * arithmetic)

    def expected(self):
        if self.kind in ("product", "deferred"):
            return max(FLOOR, 1e6 * self.bytes / HBM, self.tensor)
        filled = min(1, self.blocks / SMS)
        arithmetic = (self.plain or self.flops) / (FP32 * FMA_SHARE)
        if self.plain:
            arithmetic += self.flops / (TENSOR * OWN_SHARE)
        busy = max(1e6 * self.bytes / HBM, 1e6 * arithmetic) / filled
        return max(FLOOR, busy + PHASE * self.phases)


def product_time(tiles, k):
    """Tiles of 128 x 128 on one SM each; K is split where SMs would idle."""
    split = max(1, min(SMS // tiles, k // SPLIT_K))
    waves = math.ceil(tiles * split / SMS)
    loop = 1e6 * 2 * TILE * TILE * (k / split) / (TENSOR / SMS * TILE_SHARE)
    return TILE_ENDS + waves * loop + (SPLIT_COST if split > 1 else 0)


def product(part, what, rows, cols, k, batches=1, beside=False):
    size = batches * 2 * (rows * k + k * cols + rows * cols)
    tiles = batches * math.ceil(rows / TILE) * math.ceil(cols / TILE)
    shape = f"{what}: {f'{batches} x ' if batches > 1 else ''}({rows}, {k}) ({k}, {cols})"
    return Node(part, "product", shape, 2.0 * batches * rows * cols * k, size, tiles,
                tensor=product_time(tiles, k), beside=beside)  # fmt: skip


class Deferred:
    """Work for the end of a step, and the launches that it becomes: tiles of 64 x 64 a block."""

    EDGE = 64

    def __init__(self):
        self.restart()

    def restart(self):
        self.blocks, self.flops, self.bytes, self.tiles, self.names = 0, 0.0, 0.0, 0.0, []

    def note(self, name, blocks, size, flops=0.0, tiles=0.0):
        """tiles: whole ones of 64 x 64 with K = N that its products are as much as."""
        self.blocks += blocks
        self.flops += flops
        self.bytes += size
        self.tiles += tiles
        self.names.append(name)
        return [self.launch()] if self.blocks >= ENOUGH else []

    def product(self, name, rows, cols, k, batches=1, add=False):
        blocks = batches * math.ceil(rows / self.EDGE) * math.ceil(cols / self.EDGE)
        size = batches * (2 * k * (rows + cols) + rows * cols * (8 if add else 4))
        return self.note(name, blocks, size, 2.0 * batches * rows * cols * k, blocks * k / N)

    def norm(self, name):
        return self.note(name, F // 8, N * F * 2 * 2)

    def cells(self, name, columns):
        return self.note(name, columns // 128, B * columns * 4)

    def launch(self, alone=False):
        each = 2.0 * self.EDGE**2 * N / (TENSOR / SMS)  # of one tile, at an SM's full rate
        if alone:
            loop = 1e6 * each * max(1 / OWN_SHARE, self.tiles / SMS / FULL_SHARE)
        else:  # one block an SM, tile after tile
            loop = 1e6 * each * math.ceil(self.tiles / SMS) / OWN_SHARE
        what = ", ".join(self.names)
        node = Node("deferred", "deferred", what, self.flops, self.bytes, self.blocks,
                    tensor=TILE_ENDS + loop, beside=True)  # fmt: skip
        self.restart()
        return node


deferred = Deferred()


def rows_kernel(part, kind, what, rows, cols, per, phases=1, hbm=False):
    """An element a thread, `per` bytes of it read and written."""
    blocks = min(SMS * 16, math.ceil(rows * cols / 256))
    return Node(part, kind, what, 0, rows * cols * per, blocks, phases, hbm=hbm)


def backward(part, what, rows, cols, k, gate=False, dx=True, beside=False):
    """dW with its bias, deferred, then dX, then its gate."""
    nodes = deferred.product(f"{part}: {what}", cols, k, rows)
    if dx:
        nodes.append(product(part, f"{what} dX", rows, k, cols, beside=beside))
    if gate:
        nodes.append(rows_kernel(part, "gate", f"{what} ({rows}, {k})", rows, k, 6))
    return nodes


def norm_forward(part):
    return Node(part, "norm_forward", f"({N}, {F})", 0, N * F * (2 * 4 + 1 / 8), N // 8, 4)


def norm_backward(part):
    return [
        *deferred.norm(f"{part}: gain and bias"),
        Node(part, "norm_backward", f"({N}, {F})", 0, N * F * (2 * 4 + 1 / 8), N // 8, 4),
    ]


def attention(part, back, slots=0):
    """A block a head of a cell or, back from labels, of every R-th group of a label's queries, of
    which all but the commonest have one; blocks without a group are not counted."""
    flops = (8 if back else 4) * B * T * T * F
    size = (7 if back else 4) * N * F * 2 + B * H * T * T * 2
    blocks, phases = H * B, 5 if back else 4
    if back and slots:
        groups = math.ceil(LARGEST_LABEL * T / SLOT_QUERIES)
        parts = min(groups, SLOT_BLOCKS, N // M, math.ceil(N / SLOT_QUERIES))
        blocks = H * (S - 1 + parts)
        size += 2 * parts * 2 * T * F * 4  # sums of dk and dv, written and read
        phases = 2 + 5 * math.ceil(groups / parts) + (2 if parts > 1 else 0)  # cells; ticket, sum
    where = "labels" if slots else "cells"
    return Node(part, "attend_back" if back else "attend", f"{H} heads, {T} x {T}, of {where}",
                flops, size, blocks, phases, joins="labels" if slots and not back else "")  # fmt: skip


def pool_forward(part):
    mix, scores = 2.0 * L * H * T * D, 2.0 * L * T * D
    size = B * (T * D * 2 + T * H * D * 2 + H * L * T * 2 + L * 8 + (L * D + H * L * T) / 8)
    plain = B * (scores + 40 * L * D)  # dropout, residual and LayerNorm of an element: about 40
    return Node(part, "resampler_pool_forward", "a block a cell", B * (mix + scores), size, B, 7,
                plain=plain, joins="queries")  # fmt: skip


def pool_backward(part):
    mix, scores = 2.0 * L * H * T * D, 2.0 * L * T * D
    # U read and set, dk, dscores, what a cell leaves for the sums over cells, probs, masks.
    size = B * (2 * T * H * D * 2 + 2 * T * D * 2 + T * H * 64 * 2 + (L + 3) * D * 4)
    size += B * (H * L * T * 2 + (L * D + H * L * T) / 8)
    plain = B * (scores + 80 * L * D)
    return Node(part, "resampler_pool_backward", "a block a cell", B * (3 * mix + scores), size, B, 9,
                plain=plain)  # fmt: skip


def pool_products(part):
    """dv; deferred dW_o, dq and the sums of what the kernel leaves."""
    all_ = (L + 3) * D
    return [
        product(part, "dv", N, D // H, D, batches=H),
        *deferred.product(f"{part}: W_o", D, D // H, N, batches=H, add=True),
        *deferred.product(f"{part}: queries", L, D // H, N, batches=H, add=True),
        *deferred.cells(f"{part}: what cells leave", all_),
    ]


def moves(part, what, *sizes):
    return Node(part, "move_rows", what, 0, sum(sizes), SMS, 1)


def before():
    """What all cells share."""
    return [
        Node("start", "feed", "a record of the step", 0, 2 * 4096, 1, 3),
        moves("start", "gradients, labels, cells", 4 * (PARAMETERS + M * 2 * F + L * D),
              6 * (S * TEXT + B * WIDTH)),
        product("labels", "tokens", M, F, TEXT // T, beside=True),
        product("labels", "keys and values", M, 2 * F, F, beside=True),
        product("queries", "queries", L, D, D, beside=True),
    ]  # fmt: skip


def cells_forward():
    return [
        product("tokens", "tokens", N, F, WIDTH // T),
        product("cross-attention", "queries", N, F, F),
        attention("cross-attention", back=False, slots=S),
        product("cross-attention", "output", N, F, F),
        norm_forward("cross-attention"),
        product("feed-forward", "first", N, F, F),
        product("feed-forward", "second", N, F, F),
        product("encoder", "q, k, v", N, 3 * F, F),
        attention("encoder", back=False),
        product("encoder", "output", N, F, F),
        norm_forward("encoder"),
        product("encoder", "up", N, FEEDFORWARD, F),
        rows_kernel("encoder", "activate", f"dropout ({N}, {FEEDFORWARD})", N, FEEDFORWARD, 4 + 1 / 8),
        product("encoder", "down", N, F, FEEDFORWARD),
        norm_forward("encoder"),
        product("resampler", "keys and values", N, 2 * D, F),
        product("resampler", "U", N, D, D // H, batches=H),
        pool_forward("resampler"),
    ]


def heads():
    """A block has 4 cells of a head, forward and back to dz, and reads its weights twice; then dW and
    the sum of dz over heads, by tiles of 32 x 32."""
    weights = sum(D * D + D * D // 2 + D // 2 * c for c in CLASSES)
    tiles = len(CLASSES) * ((D // 32) ** 2 + D * D // 2 // 32**2 + D // 2 // 32)
    flops = 2.0 * B * weights
    gradients = 2 * B * (3 * D + D // 2) * 2  # read by heads_sums: z, dh1, dz, dh2 of two heads
    return [
        Node("heads", "heads", "forward, losses, dz", 2 * flops, B // 4 * weights * 2 * 2,
             B // 4 * len(CLASSES), 10),
        Node("heads", "heads_sums", "dW, dz", flops, weights * 4 + gradients, tiles, 4),
    ]  # fmt: skip


def cells_backward():
    return [
        pool_backward("resampler"),
        *pool_products("resampler"),
        *backward("resampler", "keys and values", N, 2 * D, F),
        *norm_backward("encoder"),
        *backward("encoder", "down", N, F, FEEDFORWARD, gate=True),
        *backward("encoder", "up", N, FEEDFORWARD, F),
        *norm_backward("encoder"),
        *backward("encoder", "output", N, F, F),
        attention("encoder", back=True),
        *backward("encoder", "q, k, v", N, 3 * F, F),
        *backward("feed-forward", "second", N, F, F, gate=True),
        *backward("feed-forward", "first", N, F, F),
        *norm_backward("cross-attention"),
        *backward("cross-attention", "output", N, F, F),
        attention("cross-attention", back=True, slots=S),
        *backward("cross-attention", "queries", N, F, F),
        *backward("tokens", "tokens", N, F, WIDTH // T, dx=False),
    ]


def after():
    adam = PARAMETERS * (4 * 4 + 3 * 4 + 2)  # w, m, v, g; w, m, v and the copy in bf16
    return [
        replace(moves("labels", "gradients of keys and values, of queries",
                      6 * (M * 2 * F + L * D)), joins="all"),
        *backward("queries", "queries", L, D, D, beside=True),
        *backward("labels", "keys and values", M, 2 * F, F),
        *backward("labels", "tokens", M, F, TEXT // T, dx=False),
        *deferred.note("scores", len(CLASSES), B * 2 * 16),
        deferred.launch(alone=True),
        replace(rows_kernel("end", "adam", f"{PARAMETERS:,} weights", 1, PARAMETERS,
                            adam / PARAMETERS, hbm=True), joins="all"),
    ]  # fmt: skip


def step():
    return before() + cells_forward() + heads() + cells_backward() + after()


def finished(nodes, time):
    """us until all nodes are done, each of time(node): on either stream one after the other."""
    first = second = 0.0
    done = {}  # on the second stream, by parts
    for n in nodes:
        if n.beside:
            second = max(second, first + JOIN) + time(n)
            done[n.part] = done["all"] = second
        else:
            if n.joins:
                first = max(first, done[n.joins]) + JOIN
            first += time(n)
    return max(first, second)


def table(nodes):
    lines = ["| # | part | node | of | blocks or tiles | MFLOP | KB | memory | us | at best |",
             "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for i, n in enumerate(nodes):
        where, beside = "HBM" if n.hbm else "L2", " (beside)" if n.beside else ""
        lines.append(
            f"| {i + 1} | {n.part} | {n.kind}{beside} | {n.what} | {n.blocks} | {n.flops / 1e6:.1f} "
            f"| {n.bytes / 1e3:.0f} | {where} | {n.expected():.1f} | {n.best():.1f} |"
        )
    return lines


def sums(title, nodes):
    flops, size = sum(n.flops for n in nodes), sum(n.bytes for n in nodes)
    us, best = sum(n.expected() for n in nodes), sum(n.best() for n in nodes)
    return f"| {title} | {len(nodes)} | {flops / 1e9:.2f} | {size / 1e6:.0f} | {us:.0f} | {best:.0f} |"


def by_part(nodes):
    for part in dict.fromkeys(n.part for n in nodes):
        yield sums(part, [n for n in nodes if n.part == part])


def by_kind(nodes):
    kinds = sorted({n.kind for n in nodes}, key=lambda k: -sum(n.expected() for n in nodes if n.kind == k))
    for kind in kinds:
        yield sums(kind, [n for n in nodes if n.kind == kind])


def tables():
    now = step()
    head_line = ["| {} | nodes | GFLOP | MB | us | at best |", "|---|---|---|---|---|---|"]

    def headed(title, lines):
        return [head_line[0].format(title), head_line[1], *lines, ""]

    us, best = finished(now, Node.expected), finished(now, Node.best)
    lines = headed("a step", [sums("on the first stream", [n for n in now if not n.beside]),
                              sums("on the second", [n for n in now if n.beside]),
                              f"| until both are done | | | | {us:.0f} | {best:.0f} |",
                              f"| wanted: {SECONDS:.0f} s for {STEPS:,} steps | | | "
                              f"| {1e6 * SECONDS / STEPS:.0f} | |"])  # fmt: skip
    lines += headed("kernel", by_kind(now))
    lines += headed("part", by_part(now))
    lines += ["The nodes, in the order in which they are asked for:", ""]
    lines += table(now)
    return "\n".join(lines)


def check(names):
    listed = Path(names).read_text().split()
    now = step()
    problems = []
    asked = [str(HERE.parents[1] / "czhpc"), str(HERE.parents[1] / "configs/base.yaml"), "--dry-run"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    counted = float(re.search(r"arithmetic +([\d.]+) GFLOP", said)[1])
    steps = int(re.search(r"(\d+) in 50 epochs", said)[1])
    own = sum(n.flops for n in now) / 1e9
    print(f"FLOPs: {own:.2f} G here, {counted:.2f} G by cz_model_flops: {100 * (own / counted - 1):+.1f} %")
    if abs(own / counted - 1) > 0.03:
        problems.append("the sums of FLOPs differ")
    if steps != STEPS:
        problems.append(f"{steps} steps, not {STEPS}")
    here = [n.kind for n in now]
    differ = [i for i in range(max(len(listed), len(here))) if listed[i : i + 1] != here[i : i + 1]]
    print(f"nodes: {len(here)} here, {len(listed)} in {names}; {len(differ)} differ")
    if len(here) != len(listed):
        problems.append("the numbers of nodes differ")
    if differ:
        i = differ[0]
        problems.append(f"node {i + 1} is {here[i : i + 1]} here, {listed[i : i + 1]} there")
    sys.exit("; ".join(problems) if problems else 0)


def commonest(prefix):
    def numbers(name):
        values = array("i")
        values.frombytes(Path(f"{prefix}.{name}.i32").read_bytes())
        return values

    label = numbers("label")
    order = [label[cell] for cell in numbers("order")]
    most = [Counter(order[i : i + B]).most_common(1)[0][1] for i in range(0, len(order) - B + 1, B)]
    print(f"{sum(most) / len(most):.1f} cells on the mean of {len(most)} batches, at most {max(most)}")


def main():
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2] if len(sys.argv) > 2 else HERE / "nodes.txt")
    elif sys.argv[1:2] == ["--labels"] and len(sys.argv) == 3:
        commonest(sys.argv[2])
    elif sys.argv[1:] == ["--write"]:
        page = HERE / "cost_model.md"
        prose = page.read_text().split(BELOW)[0]
        page.write_text(f"{prose}{BELOW}\n\n{tables()}\n")
    elif len(sys.argv) > 1:
        sys.exit(__doc__)
    else:
        print(tables())


main()
