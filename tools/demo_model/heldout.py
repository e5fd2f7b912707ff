"""The held-out questions: makes them, and measures exact answers and the form of stories.

    python heldout.py make heldout-200.jsonl
    python heldout.py run heldout-200.jsonl MODEL.gguf [--engine pumice|torch] [--pumice PATH] [--stories N] [--misses]

Questions come from the held-out side of the split (corpus.py): none of them, in whatever case and punctuation, and no
name, dialogue or sentence in them, occurs in training. `run` prints a table and exits 1 below 90 % or with a bad story.
"""
from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Callable

import corpus
import stories
from corpus import Memory
from split import held_out, name
from tasks import summary_scene, topic_scene
from text import Turn, pick

SEED = 99
EACH = 20
Complete = Callable[[str, int], tuple[str, bool]]


def told_and_asked(rng: random.Random) -> list[Turn]:
    """A fact is told, perhaps something else is asked, the fact is asked for."""
    memory = Memory()
    turns = corpus.tell(rng, memory, True)
    for _ in range(rng.randrange(3)):
        turns += pick(rng, [corpus.sums, corpus.capitals, corpus.animals, corpus.colours])(rng)[:1]
    return turns + corpus.recall(rng, memory)


CATEGORIES: dict[str, Callable[[random.Random], list[Turn]]] = {
    "sums": corpus.sums, "days": corpus.days, "months": corpus.months, "colours": corpus.colours,
    "opposites": corpus.opposites,
    "animals": corpus.animals, "capitals": corpus.capitals, "names": told_and_asked,
    "summary": lambda rng: summary_scene(rng, lambda: name(rng, True).capitalize()), "topic": topic_scene,
}


def make(path: Path) -> None:
    """EACH questions of every category; a key comes up twice at most, a text once."""
    rng = random.Random(SEED)
    with path.open("w") as out:
        for category, maker in CATEGORIES.items():
            keys: Counter[str] = Counter()
            texts: set[str] = set()
            while len(texts) < EACH:
                turns = maker(rng)
                last = turns[-1]
                if last.category != category or not last.closed or not held_out(last.key):
                    continue
                if keys[last.key] == 2 or last.user in texts:
                    continue
                keys[last.key] += 1
                texts.add(last.user)
                messages = [{"role": r, "content": t} for r, t in corpus.render("", turns)][:-1]
                out.write(json.dumps({"category": category, "messages": messages, "answer": last.answer},
                                     ensure_ascii=False) + "\n")


def prompt_of(messages: list[dict[str, str]]) -> str:
    """ChatML."""
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages) + "<|im_start|>assistant\n"


def pumice(program: str, model: str) -> Complete:
    """Greedy completion by the program. It ended by itself when a longer limit adds nothing."""
    def run(prompt: str, limit: int) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(prompt)
            file.flush()
            done = subprocess.run([program, "run", "-m", model, "-f", file.name, "-n", str(limit), "--temp", "0"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{program}: exit status {done.returncode}\n{done.stderr}")
        return done.stdout

    def complete(prompt: str, limit: int) -> tuple[str, bool]:
        text = run(prompt, limit)
        return text, limit < 100 or run(prompt, limit + 8) == text
    return complete


# ---- stories --------------------------------------------------------------------------------------------------------

def story_pattern() -> re.Pattern[str]:
    """Matches a story whose every line is a line of the grammar with some noun phrase in each gap."""
    def lines(step: str | list) -> list[str]:
        return [step] if isinstance(step, str) else [line for s in step for line in lines(s)]

    def pattern(line: str) -> str:
        line = line[0].upper() + line[1:] if line[0] != "{" else line
        return re.sub(r"\\\{\w\\\}", r"[A-Za-z][A-Za-z ]{0,40}", re.escape(line))
    every = sorted({pattern(line) for line in lines([stories.OPEN, *stories.PLOTS, *stories.FRIENDS])})
    return re.compile("(?:(?:" + "|".join(every) + r")(?: |$)){6,9}")


def story_faults(text: str, ended: bool, who: str, thing: str, pattern: re.Pattern[str]) -> list[str]:
    """What is wrong with a story; [] if nothing is."""
    faults = [] if ended else ["does not end"]
    if not pattern.fullmatch(text):
        faults.append("a sentence is not of the grammar")
    faults += [f"does not mention {word}" for word in (who, thing) if not re.search(rf"\b{word}\b", text)]
    if re.search(r"\ba [aeio]", text) or re.search(r"\ban [^aeiou]", text):
        faults.append("wrong article")
    if re.search(r"\b(\w+) \1\b", text):
        faults.append("repeats a word")
    return faults


def story_requests(count: int) -> list[tuple[str, str, str]]:
    """(request, character, thing) of the held-out side."""
    rng = random.Random(SEED)
    out: list[tuple[str, str, str]] = []
    while len(out) < count:
        thing = pick(rng, stories.THINGS)
        person = rng.random() < 0.3
        who = name(rng, True).capitalize() if person else pick(rng, stories.CREATURES)
        if held_out("story " + corpus.key_of(("" if person else "the ") + who + thing)):
            asked = who if person else stories.a(who)
            out.append((pick(rng, ["Tell me a story about {}.", "tell me a story about {}",
                                   "Can you write a short story about {}?", "A story about {}, please."])
                        .format(f"{asked} and {stories.a(thing)}"), who, thing))
    return out


def run(args: argparse.Namespace) -> int:
    if args.engine == "torch":
        from generate import Engine
        complete = Engine(args.model).complete
    else:
        complete = pumice(args.pumice, args.model)
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in args.questions.read_text().splitlines():
        question = json.loads(line)
        answer = complete(prompt_of(question["messages"]), 64)[0].strip()
        total[question["category"]] += 1
        right[question["category"]] += answer == question["answer"]
        if args.misses and answer != question["answer"]:
            print(f"{question['messages'][-1]['content']!r}\n  wanted {question['answer']!r}\n  got    {answer!r}",
                  file=sys.stderr)
    for category in total:
        print(f"{category:12} {right[category]:4} of {total[category]}")
    share = 100 * right.total() / total.total()
    print(f"{'all':12} {right.total():4} of {total.total()}  {share:.1f} %")
    pattern, good = story_pattern(), 0
    for request, who, thing in story_requests(args.stories):
        text, ended = complete(prompt_of([{"role": "user", "content": request}]), 220)
        faults = story_faults(text.strip(), ended, who, thing, pattern)
        good += not faults
        if args.misses and faults:
            print(f"{request!r}: {', '.join(faults)}\n  {text}", file=sys.stderr)
    print(f"{'stories':12} {good:4} of {args.stories}")
    return 0 if share >= 90 and good >= 0.95 * args.stories else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("questions", type=Path)
    runner = commands.add_parser("run")
    runner.add_argument("questions", type=Path)
    runner.add_argument("model")
    runner.add_argument("--engine", choices=["pumice", "torch"], default="pumice")
    runner.add_argument("--pumice", default="pumice", help="path of the program")
    runner.add_argument("--stories", type=int, default=20, help="how many stories to check")
    runner.add_argument("--misses", action="store_true", help="print what went wrong on stderr")
    args = parser.parse_args()
    if args.command == "make":
        make(args.questions)
    else:
        sys.exit(run(args))


if __name__ == "__main__":
    main()
