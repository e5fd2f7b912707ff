"""Logits of `pumice logits`, and how far two sets of logits are apart. Needs numpy."""
import os
import subprocess
import tempfile

import numpy as np


def pumice_logits(program, model, tokens, args=()):
    """float32 [tokens, vocab]; raises RuntimeError with the program's last words."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "logits.bin")
        command = [program, "logits", "-m", model, "--tokens", ",".join(map(str, tokens)), "-o", out, *args]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:4])} ...: exit status {done.returncode}: {done.stderr.strip()}")
        return np.fromfile(out, "<f4").reshape(len(tokens), -1)


def nmse(got, expected, axis=None):
    """Of everything, or of each row with axis=1. NaN stays NaN: compare with not (x < bound)."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    return ((got - expected) ** 2).sum(axis) / (expected ** 2).sum(axis)
