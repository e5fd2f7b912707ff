#!/usr/bin/env python3
"""Our tokenizers against sentencepiece and tokenizers (PyPI) on random Unicode text.

  tokenizers.py --filter TOKENIZE_LINES [--assets DIR] [--seed S] [--texts N]

Vocabularies of the assets (SentencePiece models of babyllama-105 and Mistral, byte-level
BPE of Qwen2 and GPT-NeoX) and pre-tokenizers without one (the published expressions in
tokenizers' own regular expression engine). Every text must give the same tokens, or be
cut into the same words. Exits with 77 and the reason where the packages or the assets are
absent.
"""
import argparse
import json
import os
import random
import re
import struct
import subprocess
import sys
import unicodedata

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
try:
    import sentencepiece
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
except ImportError as missing:
    print(f"skipped: {missing}; tests/oracle/setup.sh venv DIR makes a venv that has it")
    sys.exit(77)

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# ------------------------------------------------------------------- texts

RANGES = [(0x20, 0x7F), (0x20, 0x7F), (0x20, 0x7F), (0x30, 0x3A), (0x41, 0x5B), (0x61, 0x7B), (0xA0, 0x250), (0x250, 0x500),
          (0x500, 0x800), (0x900, 0xE00), (0xE00, 0x1200), (0x1700, 0x1800), (0x1E00, 0x2000), (0x2000, 0x2070),
          (0x2070, 0x2C00), (0x3000, 0x3200), (0x4E00, 0x9FA6), (0xAC00, 0xD7A4), (0xFF00, 0xFFF0), (0x10300, 0x10450),
          (0x1D100, 0x1D200), (0x1D400, 0x1D800), (0x20000, 0x2A6D7)]
SPACES = [" "] * 12 + ["\n"] * 4 + ["\t", "\r", "\r\n", "\u00a0", "\u3000", "\u2009", "\u2028", "\u0085", "\x0b"]
PARTS = ["'s", "'re", "'LL", "'T", "don't", "I'Ve", "...", "!!", "==", "://", "\U0001F999", "\U0001F680", "\U0001F468\u200d"
         "\U0001F469\u200d\U0001F467", "\u00e9", "e\u0301", "a\u0323\u0302", "q\u0307\u0323", "\u212b", "\u1100\u1161\u11a8",
         "3.14", "12345678", "\u0663\u0664", "HTTPServer", "camelCase", "_x_", "the", "and", "\u2581", "\u4f60\u597d"]


def known(char):
    """Assigned since Unicode 3.2 with the category that it has today: all versions agree."""
    old = unicodedata.ucd_3_2_0.category(char)
    return old not in ("Cn", "Cs", "Co") and old == unicodedata.category(char)


ALPHABETS = [[c for c in map(chr, range(first, last)) if known(c)] for first, last in RANGES]


def random_text(rng):
    out = []
    alphabet = rng.choice(ALPHABETS)
    for _ in range(rng.randint(0, 60)):
        kind = rng.random()
        if kind < 0.1:
            alphabet = rng.choice(ALPHABETS)
        if kind < 0.25:
            out.append(rng.choice(SPACES) * (1 if rng.random() < 0.7 else rng.randint(2, 5)))
        elif kind < 0.4:
            out.append(rng.choice(PARTS))
        else:
            out.append(rng.choice(alphabet) * (1 if rng.random() < 0.9 else rng.randint(2, 5)))
    return "".join(out)


# ---------------------------------------------------------------- our side

def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("<I", len(data)) + data


def vocabulary(model, pre, tokens, merges=(), bos=-1, eos=-1, unk=-1, space_prefix=0):
    """tokens: (piece, type, score) by id."""
    out = [string(model), string(pre), struct.pack("<iiiiI", bos, eos, unk, space_prefix, len(tokens))]
    out += [struct.pack("<if", kind, score) + string(piece) for piece, kind, score in tokens]
    return b"".join(out + [struct.pack("<I", len(merges))] + [string(merge) for merge in merges])


def ours(program, head, texts, *arguments):
    """One list of numbers per text."""
    done = subprocess.run([program, *arguments], input=head + b"".join(map(string, texts)), stdout=subprocess.PIPE,
                          check=True)
    numbers = struct.unpack(f"<{len(done.stdout) // 4}i", done.stdout)
    lists, at = [], 0
    while at < len(numbers):
        lists.append(list(numbers[at + 1:at + 1 + numbers[at]]))
        at += 1 + numbers[at]
    return lists


def compare(name, texts, expected, actual):
    wrong = [i for i in range(len(texts)) if expected[i] != actual[i]]
    print(f"{'FAIL' if wrong else 'ok  '} {name}: {len(texts) - len(wrong)} of {len(texts)} texts agree", flush=True)
    for i in wrong[:3]:
        print(f"  {texts[i]!r}\n    expected {expected[i]}\n    actual   {actual[i]}")
    return len(wrong)


# ------------------------------------------------------------- vocabularies

def check_sentencepiece(program, path, texts):
    model = sentencepiece.SentencePieceProcessor(model_file=path)

    def kind(i):
        return (UNKNOWN if model.is_unknown(i) else CONTROL if model.is_control(i) else UNUSED if model.is_unused(i)
                else BYTE if model.is_byte(i) else NORMAL)

    tokens = [(model.id_to_piece(i), kind(i), model.get_score(i)) for i in range(model.get_piece_size())]
    prefix = model.encode_as_pieces("a")[0].startswith("\u2581")
    if model.encode("a  b ") == model.encode("a b"):  # GGUF has no word for this: give both what it makes of texts
        texts = [re.sub(" +", " ", text).lstrip(" ").rstrip(" \u2581") for text in texts]
    head = vocabulary("llama", "", tokens, bos=model.bos_id(), eos=model.eos_id(), unk=model.unk_id(),
                      space_prefix=int(prefix))
    return compare(os.path.basename(path), texts, [model.encode(text) for text in texts], ours(program, head, texts))


def check_byte_level(program, name, pre, tokenizer, tokens, merges, texts):
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    return compare(name, texts, expected, ours(program, vocabulary("gpt2", pre, tokens, merges), texts))


def check_qwen2(program, folder, texts):
    with open(f"{folder}/vocab.json", encoding="utf-8") as file:
        pieces = json.load(file)
    with open(f"{folder}/merges.txt", encoding="utf-8") as file:
        merges = [line.rstrip("\r\n") for line in file if line.strip() and not line.startswith("#version")]
    tokenizer = Tokenizer(models.BPE(pieces, [tuple(merge.split(" ")) for merge in merges]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokens = [(piece, NORMAL, 0) for piece, _ in sorted(pieces.items(), key=lambda item: item[1])]
    return check_byte_level(program, "qwen2", "qwen2", tokenizer, tokens, merges, texts)


def check_gpt_neox(program, path, texts):
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    tokens = {i: (piece, NORMAL, 0) for piece, i in content["model"]["vocab"].items()}
    for added in content["added_tokens"]:
        tokens[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED, 0)
    return check_byte_level(program, "gpt-neox", "gpt-neox", Tokenizer.from_file(path),
                            [tokens[i] for i in range(len(tokens))], content["model"]["merges"], texts)


# ----------------------------------------------------------- pre-tokenizers

ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
QWEN2 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+%s|" r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*%s|")
TEKKEN = CASED.replace("%s", "") + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL
GPT4O = CASED.replace("%s", ANY_CASE + "?") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
             r" ?[\p{P}\p{S}]+[\r\n]*|" + TAIL)


def split(*patterns):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
WORDS = {
    "gpt-2": [BYTE_LEVEL],
    "llama-bpe": split(LLAMA3),
    "qwen2": split(QWEN2),
    "tekken": split(TEKKEN),
    "gpt-4o": split(GPT4O),
    "starcoder": [pre_tokenizers.Digits(individual_digits=True), BYTE_LEVEL],
    "deepseek-coder": split(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK) + [pre_tokenizers.Digits(individual_digits=True)],
    "deepseek-v3": split(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3),
}


def words_of(pre_tokenizer, text):
    """Ends of words, in bytes."""
    sizes = [0]
    for char in text:
        sizes.append(sizes[-1] + len(char.encode()))
    return sorted({sizes[end] for _, (_, end) in pre_tokenizer.pre_tokenize_str(text)})


def check_words(program, name, texts):
    pre_tokenizer = pre_tokenizers.Sequence(WORDS[name])
    expected = [words_of(pre_tokenizer, text) for text in texts]
    return compare(f"words of {name}", texts, expected, ours(program, b"", texts, "--words", name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", required=True, help="the program of tests/oracle/tokenize_lines.c")
    parser.add_argument("--assets", default=os.environ.get("PUMICE_TEST_ASSETS", ""))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PUMICE_TEST_SEED", "1")))
    parser.add_argument("--texts", type=int, default=2000)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    texts = [random_text(rng) for _ in range(args.texts)]
    print(f"PUMICE_TEST_SEED={args.seed}: {len(texts)} texts, {sum(map(len, texts))} characters")
    bad = sum(check_words(args.filter, name, texts) for name in WORDS)
    checks = [(check_sentencepiece, "models/babyllama-105/tok105.model"),
              (check_sentencepiece, "tokenizers/mistral/tokenizer.model.v1"),
              (check_gpt_neox, "tokenizers/gpt-neox/20B_tokenizer.json"), (check_qwen2, "tokenizers/qwen2")]
    for check, name in checks:
        path = os.path.join(args.assets, name)
        if args.assets and os.path.exists(path):
            bad += check(args.filter, path, texts)
        else:
            print(f"skip {name}: not in the assets folder '{args.assets}'")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
