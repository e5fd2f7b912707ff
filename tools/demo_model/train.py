"""The trainer: streams conversations, packs them into rows, takes steps with Muon and AdamW, saves often.

    python train.py WORK_DIR --minutes 50 [--seed 2] [--threads 1]

Resumes from WORK_DIR/checkpoint.pt when that exists (spent time and steps count on). The learning rate follows the
spent share of the time, so that a slow machine ends its schedule too; the data are a function of the seed.
"""
from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path
from typing import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from corpus import conversation
from model import Config, Decoder
from split import held_out
from stories import tale
from text import a, key_of, pick
from tokenizer import BOS, END, Tokenizer
from world import CREATURES, THINGS

ROW_TOKENS = 3072           # per step
CONTEXT_WEIGHT = 0.1        # loss weight of what the user and the system say; the assistant's words weigh 1
PLAIN_STORIES = 0.03        # share of documents that are a bare story, for completion without a template


def document(rng: random.Random, tok: Tokenizer, room: int) -> tuple[list[int], list[float]]:
    """A conversation of at most `room` tokens, whole turns: (ids, loss weight of each id as a target)."""
    if rng.random() < PLAIN_STORIES:
        creature = pick(rng, CREATURES)
        thing = pick(rng, THINGS)
        if held_out("story " + key_of(f"the {creature}{thing}")):
            return [], []
        ids = tok.pieces.encode(tale(rng, "a little " + creature, "the " + creature, a(thing), thing, False))
        return ([BOS, *ids, END], [0.0] + [1.0] * (len(ids) + 1)) if len(ids) + 2 <= room else ([], [])
    system, turns = conversation(rng)
    ids, weights = ([BOS], [0.0]) if rng.random() < 0.9 else ([], [])
    if system:
        m = tok.message("system", system)
        ids, weights = ids + m, weights + [0.0] * len(m)
    head = len(tok.message("assistant", "")) - 2
    begin = len(ids)
    for turn in turns:
        user, answer = tok.message("user", turn.user), tok.message("assistant", turn.answer)
        if len(ids) + len(user) + len(answer) > room:
            break
        ids += user + answer
        weights += [CONTEXT_WEIGHT] * len(user) + [0.0] * head + [1.0] * (len(answer) - head - 1) + [0.0]
    return (ids, weights) if len(ids) > begin else ([], [])


def batches(rng: random.Random, tok: Tokenizer) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (tokens [B, T + 1], weights [B, T], document [B, T]); T is 256 mostly, 512 at times."""
    while True:
        length = 256 if rng.random() < 0.7 else 512
        rows = ROW_TOKENS // length
        tokens = torch.full((rows, length + 1), END)
        weights = torch.zeros(rows, length + 1)
        owner = torch.zeros(rows, length + 1, dtype=torch.long)
        for r in range(rows):
            used, count = 0, 0
            for _ in range(64):
                if length + 1 - used < 24:
                    break
                ids, w = document(rng, tok, length + 1 - used)
                if ids:
                    count += 1
                    end = used + len(ids)
                    tokens[r, used:end], weights[r, used:end] = torch.tensor(ids), torch.tensor(w)
                    owner[r, used:end] = count
                    used = end
        yield tokens, weights[:, 1:] * (owner[:, 1:] == owner[:, :-1]), owner[:, :-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=8e-3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    config = Config()
    tok = Tokenizer(args.work / "tokenizer.model")
    model = Decoder(config)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blk")]
    others = [p for n, p in model.named_parameters() if not (p.dim() == 2 and n.startswith("blk"))]
    optimizers = [torch.optim.Muon(matrices, lr=args.muon_lr, momentum=0.95, weight_decay=0.01),
                  torch.optim.AdamW(others, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
    rates = [args.muon_lr, args.adam_lr]
    step, spent = 0, 0.0
    checkpoint = args.work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for o, s in zip(optimizers, state["optimizers"]):
            o.load_state_dict(s)
        step, spent = state["step"], state["spent"]
    print(f"{sum(p.numel() for p in model.parameters())} parameters, from step {step}", flush=True)

    def save() -> None:
        part = checkpoint.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step,
                    "spent": spent}, part)
        part.replace(checkpoint)

    budget = args.minutes * 60
    clock = saved = time.monotonic()
    running: float | None = None
    # Resumed data must not repeat: the stream's seed holds the step it starts from.
    for tokens, weights, owner in batches(random.Random(args.seed * 1_000_003 + step), tok):
        done = min(1.0, spent / budget)
        rate = min(1.0, (step + 1) / 60) * (0.5 + 0.5 * math.cos(math.pi * done))
        for o, base in zip(optimizers, rates):
            o.param_groups[0]["lr"] = base * max(rate, 0.005)
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        rows = inputs.shape[1]
        mask = ((owner[:, :, None] == owner[:, None, :]) & torch.ones(rows, rows).tril().bool())[:, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(inputs, mask)
        wanted = weights.flatten() > 0
        each = F.cross_entropy(logits.flatten(0, 1)[wanted].float(), targets.flatten()[wanted], reduction="none")
        w = weights.flatten()[wanted]
        loss = (each * w).sum() / w.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        strong = w == 1
        mean = each[strong].mean().item()
        running = mean if running is None else 0.95 * running + 0.05 * mean
        now = time.monotonic()
        spent, clock = spent + now - clock, now
        if step % 20 == 0:
            print(f"step {step}  assistant loss {running:.4f}  rate {rate:.3f}  minutes {spent / 60:.1f}", flush=True)
        if now - saved > 60 or spent >= budget:
            save()
            saved = now
        if spent >= budget:
            break


if __name__ == "__main__":
    main()
