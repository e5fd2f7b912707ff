"""The tokenizer: sentencepiece BPE with byte fallback, one token per digit, ChatML's marks as control tokens.

    python tokenizer.py WORK_DIR        # trains WORK_DIR/tokenizer.model on a sample of the corpus

Text is taken as it is: no added first space, no normalisation; a line feed is its byte token. ids: 0 unknown, 1 begin
of text, 2 end of text, 3 <|im_start|>, 4 <|im_end|>, 5..260 bytes, then pieces.
"""
from __future__ import annotations

import random
import sys
from pathlib import Path

import sentencepiece

from corpus import conversation, render

VOCAB = 1792
BOS, START, END = 1, 3, 4
SAMPLE, SAMPLE_SEED = 20000, 7


def train(path: Path) -> None:
    """Writes PATH.model from the lines of SAMPLE conversations."""
    rng = random.Random(SAMPLE_SEED)
    lines: list[str] = ["system", "user", "assistant"] * 1000      # the roles become one piece each
    for _ in range(SAMPLE):
        for role, text in render(*conversation(rng)):
            lines += text.split("\n")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(path.with_suffix("")), model_type="bpe", vocab_size=VOCAB,
        byte_fallback=True,
        split_digits=True, character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=False,
        remove_extra_whitespaces=False, control_symbols=["<|im_start|>", "<|im_end|>"], minloglevel=1, num_threads=1)


class Tokenizer:
    """Text and conversations to ids."""

    def __init__(self, path: Path):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def message(self, role: str, text: str) -> list[int]:
        """One ChatML message with its line feed."""
        return [START, *self.pieces.encode(f"{role}\n{text}"), END, *self.pieces.encode("\n")]


if __name__ == "__main__":
    train(Path(sys.argv[1]) / "tokenizer.model")
