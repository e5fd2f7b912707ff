"""The demo model: a decoder of the `llama` architecture in plain PyTorch.

RMSNorm, rotary positions on the pairs (2i, 2i+1) of each head (the rotation that GGUF files of this architecture
expect, so that no weight is permuted on export), grouped-query attention, SwiGLU, output tied to the embedding.
Module names are the GGUF tensor names without `.weight`, dots replaced by the module tree.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Sizes. Every row length (dim, hidden) is a multiple of 32, the block of Q8_0."""

    vocab: int = 1792
    dim: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    hidden: int = 512
    context: int = 512
    eps: float = 1e-5
    theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


def rotation(config: Config, rows: int, start: int = 0) -> Tensor:
    """cos and sin of position x frequency: [2, rows, head_dim / 2]."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32)
    angle = torch.outer(torch.arange(start, start + rows, dtype=torch.float32),
                        config.theta ** (-half / config.head_dim))
    return torch.stack((angle.cos(), angle.sin()))


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Rotates the pairs (2i, 2i+1). x: [batch, heads, rows, head_dim], rope: [2, rows, head_dim / 2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = rope
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    """One layer: x += attention(norm(x)); x += ffn(norm(x))."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.attn_norm = nn.RMSNorm(c.dim, eps=c.eps)
        self.attn_q = nn.Linear(c.dim, c.heads * c.head_dim, bias=False)
        self.attn_k = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.attn_v = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.attn_output = nn.Linear(c.heads * c.head_dim, c.dim, bias=False)
        self.ffn_norm = nn.RMSNorm(c.dim, eps=c.eps)
        self.ffn_gate = nn.Linear(c.dim, c.hidden, bias=False)
        self.ffn_up = nn.Linear(c.dim, c.hidden, bias=False)
        self.ffn_down = nn.Linear(c.hidden, c.dim, bias=False)

    def forward(self, x: Tensor, rope: Tensor, mask: Tensor | None, past: list[Tensor] | None) -> Tensor:
        """x: [batch, rows, dim]. mask: [batch, 1, rows, rows], true = may look; None = causal, or all of `past`.
        past: keys and values [batch, kv_heads, past rows, head_dim], extended in place; None when training."""
        batch, rows, _ = x.shape
        h = self.attn_norm(x)
        q, k, v = (p(h).view(batch, rows, -1, self.c.head_dim).transpose(1, 2)
                   for p in (self.attn_q, self.attn_k, self.attn_v))
        q, k = rotate(q, rope), rotate(k, rope)
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            past[:] = [k, v]
        group = self.c.heads // self.c.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and rows > 1)
        x = x + self.attn_output(a.transpose(1, 2).reshape(batch, rows, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Decoder(nn.Module):
    """Tokens to logits."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.vocab, c.dim)
        self.blk = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.output_norm = nn.RMSNorm(c.dim, eps=c.eps)
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        """Random weights from which attention learns to copy early: a query looks for tokens like its own (Q and K of a
        group begin alike), and what it finds goes out nearly as it was (output begins as the transpose of V)."""
        group = self.c.heads // self.c.kv_heads
        nn.init.normal_(self.token_embd.weight, std=0.02)
        for b in self.blk:
            for p in (b.ffn_gate, b.ffn_up):
                nn.init.normal_(p.weight, std=0.02)
            nn.init.normal_(b.ffn_down.weight, std=0.02 / (2 * self.c.layers) ** 0.5)
            k = 0.045 * torch.randn(self.c.kv_heads, 1, self.c.head_dim, self.c.dim)
            q = k + 0.02 * torch.randn(self.c.kv_heads, group, self.c.head_dim, self.c.dim)
            v = 0.0625 * torch.randn(self.c.kv_heads, 1, self.c.head_dim, self.c.dim)
            b.attn_k.weight.copy_(k.flatten(0, 2))
            b.attn_q.weight.copy_(q.flatten(0, 2))
            b.attn_v.weight.copy_(v.flatten(0, 2))
            b.attn_output.weight.copy_(0.1 * v.expand(-1, group, -1, -1).flatten(0, 2).T)

    def hidden(self, tokens: Tensor, mask: Tensor | None = None, past: list[list[Tensor]] | None = None) -> Tensor:
        """tokens: [batch, rows] -> [batch, rows, dim], normalised. past: one list per layer, see Block."""
        start = past[0][0].shape[2] if past and past[0] else 0
        rope = rotation(self.c, tokens.shape[1], start)
        x = self.token_embd(tokens)
        for i, block in enumerate(self.blk):
            x = block(x, rope, mask, past[i] if past is not None else None)
        return self.output_norm(x)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, past: list[list[Tensor]] | None = None) -> Tensor:
        """tokens: [batch, rows] -> logits [batch, rows, vocab]."""
        return F.linear(self.hidden(tokens, mask, past), self.token_embd.weight)
