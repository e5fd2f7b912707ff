"""Writes the trained model as a GGUF file: weights Q8_0, norms F32, the tokenizer and the ChatML template inside.

    python export.py WORK_DIR OUT.gguf
"""
from __future__ import annotations

import sys
from pathlib import Path

import gguf
import torch
from gguf import GGMLQuantizationType, LlamaFileType, TokenType

from model import Config, Decoder
from tokenizer import BOS, END, Tokenizer

TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
            "'<|im_end|>\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def write_hparams(out: gguf.GGUFWriter, c: Config) -> None:
    out.add_name("pumice-demo")
    out.add_description("A small conversation in English over a small world; made by the Pumice project from its own "
                        "grammar.")
    out.add_license("MIT")
    out.add_languages(["en"])
    out.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    out.add_vocab_size(c.vocab)
    out.add_context_length(c.context)
    out.add_embedding_length(c.dim)
    out.add_block_count(c.layers)
    out.add_feed_forward_length(c.hidden)
    out.add_head_count(c.heads)
    out.add_head_count_kv(c.kv_heads)
    out.add_rope_dimension_count(c.head_dim)
    out.add_rope_freq_base(c.theta)
    out.add_layer_norm_rms_eps(c.eps)


def write_tokenizer(out: gguf.GGUFWriter, tok: Tokenizer) -> None:
    p = tok.pieces
    ids = range(p.get_piece_size())
    kind = [TokenType.UNKNOWN if p.is_unknown(i) else TokenType.CONTROL if p.is_control(i)
            else TokenType.BYTE if p.is_byte(i) else TokenType.NORMAL for i in ids]
    out.add_tokenizer_model("llama")
    out.add_token_list([p.id_to_piece(i) for i in ids])
    out.add_token_scores([p.get_score(i) for i in ids])
    out.add_token_types(kind)
    out.add_bos_token_id(BOS)
    out.add_eos_token_id(END)
    out.add_unk_token_id(0)
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_add_space_prefix(False)
    out.add_remove_extra_whitespaces(False)
    out.add_chat_template(TEMPLATE)


def main() -> None:
    work, path = Path(sys.argv[1]), Path(sys.argv[2])
    config = Config()
    model = Decoder(config)
    model.load_state_dict(torch.load(work / "checkpoint.pt")["model"])
    out = gguf.GGUFWriter(path, "llama")
    write_hparams(out, config)
    write_tokenizer(out, Tokenizer(work / "tokenizer.model"))
    for name, p in model.state_dict().items():
        data = p.float().numpy()
        if data.ndim == 2:
            packed = gguf.quants.quantize(data, GGMLQuantizationType.Q8_0)
            out.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            out.add_tensor(name, data)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
