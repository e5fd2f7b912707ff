"""Runs the GGUF file in PyTorch, greedily: an independent reader of what export.py wrote.

    python generate.py MODEL.gguf        # a chat: one line of stdin is one question

Everything comes from the file: sizes, weights (dequantised), vocabulary. The tokenizer here is written from the
definition (merge the adjacent pair whose piece has the best score; what is no piece becomes bytes).
"""
from __future__ import annotations

import re
import sys

import gguf
import torch
from gguf import TokenType

from model import Config, Decoder


class Engine:
    """A loaded model."""

    def __init__(self, path: str):
        reader = gguf.GGUFReader(path)

        def get(key: str):
            return reader.get_field(key).contents()

        self.tokens: list[str] = get("tokenizer.ggml.tokens")
        self.scores: list[float] = get("tokenizer.ggml.scores")
        self.types: list[int] = get("tokenizer.ggml.token_type")
        self.bos, self.eos = get("tokenizer.ggml.bos_token_id"), get("tokenizer.ggml.eos_token_id")
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        special = [re.escape(t) for t, kind in zip(self.tokens, self.types) if kind == TokenType.CONTROL]
        self.special = re.compile("(" + "|".join(special) + ")")
        self.config = Config(
            vocab=len(self.tokens), dim=get("llama.embedding_length"), layers=get("llama.block_count"),
            heads=get("llama.attention.head_count"), kv_heads=get("llama.attention.head_count_kv"),
            hidden=get("llama.feed_forward_length"), context=get("llama.context_length"),
            eps=get("llama.attention.layer_norm_rms_epsilon"), theta=get("llama.rope.freq_base"))
        self.model = Decoder(self.config).eval()
        weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
        self.model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})

    def encode(self, text: str) -> list[int]:
        """Begin of text, then the text; control tokens in it are recognised."""
        out = [self.bos]
        for part in self.special.split(text):
            out += [self.ids[part]] if self.special.fullmatch(part) else self._merge(part)
        return out

    def _merge(self, text: str) -> list[int]:
        pieces = list(text.replace(" ", "\u2581"))
        while len(pieces) > 1:
            score, at = max((self.scores[self.ids[x + y]] if x + y in self.ids else -1e30, -i)
                            for i, (x, y) in enumerate(zip(pieces, pieces[1:])))
            if score == -1e30:
                break
            pieces[-at:2 - at] = [pieces[-at] + pieces[1 - at]]
        out: list[int] = []
        for p in pieces:
            out += [self.ids[p]] if p in self.ids else [self.ids[f"<0x{b:02X}>"] for b in p.encode()]
        return out

    def decode(self, ids: list[int]) -> str:
        data = b""
        for i in ids:
            if self.types[i] == TokenType.BYTE:
                data += bytes([int(self.tokens[i][3:5], 16)])
            elif self.types[i] == TokenType.NORMAL:
                data += self.tokens[i].replace("\u2581", " ").encode()
        return data.decode(errors="replace")

    @torch.no_grad()
    def complete(self, prompt: str, limit: int) -> tuple[str, bool]:
        """Greedy completion of at most `limit` tokens: (text, ended by itself)."""
        past: list[list[torch.Tensor]] = [[] for _ in range(self.config.layers)]
        fresh, out = self.encode(prompt), []
        while len(out) < limit:
            logits = self.model(torch.tensor([fresh]), past=past)[0, -1]
            token = int(logits.argmax())
            if token == self.eos:
                return self.decode(out), True
            out.append(token)
            fresh = [token]
        return self.decode(out), False


def chatml(messages: list[tuple[str, str]]) -> str:
    """(role, text) messages as a prompt for the assistant's next turn."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages) + "<|im_start|>assistant\n"


def main() -> None:
    engine = Engine(sys.argv[1])
    messages: list[tuple[str, str]] = []
    for line in sys.stdin:
        messages.append(("user", line.rstrip("\n")))
        while len(engine.encode(chatml(messages))) > engine.config.context - 160:
            del messages[:2]
        answer, _ = engine.complete(chatml(messages), 160)
        messages.append(("assistant", answer))
        print(f"> {line.rstrip()}\n{answer}", flush=True)


if __name__ == "__main__":
    main()
