"""The held-out split: a hash of what a question asks decides on which side it lies."""
from __future__ import annotations

import random
from hashlib import blake2b

from text import coin, made_name, pick
from world import ENDINGS, NAMES

SPLIT_SEED = 2026
HELD_OUT_IN = 10


def held_out(key: str) -> bool:
    """The side of the split: one key in HELD_OUT_IN, by a hash seeded with SPLIT_SEED."""
    digest = blake2b(f"{SPLIT_SEED}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_IN == 0


def held_out_name(n: str) -> bool:
    return held_out("name " + n.lower())


def name(rng: random.Random, held: bool) -> str:
    """A name of the given side of the split, from the list or made of syllables; now and then in small letters."""
    while True:
        n = pick(rng, NAMES) if coin(rng, 0.6) else made_name(rng, ENDINGS)
        if held_out_name(n) == held:
            return n.lower() if coin(rng, 0.12) else n
