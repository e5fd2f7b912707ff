"""What CPU drivers ask of the shaders that are made for them: no unrolled loop holds one that stays, or a continue.

usage: test_shaders.py PUMICE [unittest options]

Mesa 22.3 would keep the outer loop, and what its counter indexes in memory: LLVM then takes a minute for the kernel, which
runs at a third of its speed (shaders/attention_texels.comp).
"""
import glob
import os
import re
import unittest

from program import SOURCE, main

UNROLL = "[[unroll]]"
LOOP = re.compile(r"\b(?:for|while|do)\b")


def closing(text, at):
    """The index behind what closes the bracket at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i + 1
    raise ValueError("a bracket is not closed")


def statement(text, at):
    """The index behind the statement at `at`: a block, or what ends with a semicolon, whose head may be in brackets."""
    while text[at] not in ";{":
        at = closing(text, at) if text[at] in "([" else at + 1
    return closing(text, at) if text[at] == "{" else at + 1


def faults_of(text):
    """What stands in unrolled loops and keeps them loops."""
    text, found = re.sub(r"//[^\n]*", "", text), []
    for unrolled in re.finditer(re.escape(UNROLL) + r"\s*for\s*", text):
        head_end = closing(text, unrolled.end())
        outer, body = text[unrolled.end():head_end], text[head_end:statement(text, head_end)]
        found += [f"continue in {outer}"] if re.search(r"\bcontinue\b", body) else []
        for inner in LOOP.finditer(body):
            head = body[inner.end():closing(body, body.index("(", inner.end()))] if inner[0] != "do" else ""
            stays = "OR_KEPT" in head and "OR_KEPT" not in outer # where this one stays, an outer OR_KEPT does
            stays = stays or "*=" in head or "<<=" in head # Mesa 22.3 unrolls what is counted in equal steps
            if stays or not body[:inner.start()].rstrip().endswith(UNROLL):
                found.append(f"{inner[0]}{head} in {outer}")
    return found


class Loops(unittest.TestCase):
    def test_no_unrolled_loop_holds_one_that_stays(self):
        paths = sorted(glob.glob(os.path.join(SOURCE, "shaders", "*_texels.comp")))
        self.assertGreaterEqual(len(paths), 6)
        unrolled = 0
        for path in paths:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            unrolled += text.count(UNROLL)
            self.assertEqual(faults_of(text), [], os.path.basename(path))
        self.assertGreaterEqual(unrolled, 40)

    def test_one_that_does_is_found(self):
        kept = "for (uint c = 0; c < OR_KEPT(8); c++)"
        for text in (f"{UNROLL} for (;;) {{ {UNROLL} {kept} a(); }}", f"{UNROLL} for (;;) {UNROLL} {kept} {{ a(); }}",
                     f"{UNROLL} for (;;) {{ if (b) {{ for (;;) a(); }} }}", f"{UNROLL} for (;;) {{ while (a()) b(); }}",
                     f"{UNROLL} for (;;) {{ do a(); while (b()); }}", f"{UNROLL} for (;;) {{ if (a()) continue; }}",
                     f"{UNROLL} for (;;) {UNROLL} for (uint i = 1; i < 8; i *= 2) a();"):
            self.assertTrue(faults_of(text + " void end() {}"), text)
        for text in (f"{UNROLL} {kept} {{ {UNROLL} {kept} a(b[2]); }} for (;;) c();", f"{UNROLL} for (;;) a(); for (;;) b();",
                     f"for (;;) {{ {UNROLL} for (;;) a(); if (b) continue; }}"):
            self.assertEqual(faults_of(text), [], text)


if __name__ == "__main__":
    main()
