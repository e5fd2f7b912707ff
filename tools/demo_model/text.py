"""Small tools of the grammar: picks, articles, made-up names, and the noise of natural typing."""
from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Sequence, TypeVar

from world import SYLLABLES

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """One question and its answer. key: the question without noise. closed: has exactly one right answer."""

    category: str
    user: str
    answer: str
    key: str
    closed: bool = True


def coin(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def pick(rng: random.Random, items: Sequence[T]) -> T:
    return items[rng.randrange(len(items))]


def a(noun: str, capital: bool = False) -> str:
    """The noun with its indefinite article."""
    article = "an" if noun[0].lower() in "aeio" or noun.startswith(("um", "egg")) else "a"
    return f"{article.capitalize() if capital else article} {noun}"


def made_name(rng: random.Random, endings: list[str]) -> str:
    """A name of two or three syllables, one of them perhaps cut, that need not exist."""
    start = "".join(pick(rng, SYLLABLES) for _ in range(rng.choice((1, 2, 2))))
    return (start + pick(rng, SYLLABLES)[:2] + pick(rng, endings)).capitalize()


def key_of(core: str) -> str:
    """The question without case, punctuation and spaces; + and - stay."""
    return re.sub(r"[^a-z0-9+\-]", "", core.lower())


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def noise(rng: random.Random, core: str, marks: Sequence[str], lower: float) -> str:
    """The text as people type it: contractions, case, end mark."""
    if coin(rng, 0.35):
        core = re.sub(r"\bwhat is\b", pick(rng, ["what's", "what's", "whats"]), core)
        core = re.sub(r"\bI am\b", pick(rng, ["I'm", "I'm", "im"]), core)
        core = re.sub(r"\bdo not\b", "don't", core)
        core = re.sub(r"\byou are\b", "you're", core)
        core = re.sub(r"\bthat is\b", "that's", core)
    draw = rng.random()
    if draw < lower:
        core = core.lower()
    elif draw < 0.88:
        core = upper_first(core)
    return core + pick(rng, marks)


def typo(rng: random.Random, text: str) -> str:
    """Drops, doubles or swaps one letter."""
    i = rng.randrange(len(text))
    return pick(rng, [text[:i] + text[i + 1:], text[:i] + text[i] + text[i:],
                      text[:i] + text[i:i + 2][::-1] + text[i + 2:]])


def ask(rng: random.Random, category: str, core: str, answer: str, key: str = "", lower: float = 0.25,
        closed: bool = True) -> Turn:
    """A question or request: with or without a mark, now and then with a polite frame."""
    key = key_of(key or core)
    question = core.startswith(("what", "which", "who", "how", "where", "do ", "can ", "is ", "if", "when", "why",
                                "in ", "of "))
    marks = ["?"] * 7 + ["", "", " ?", "??"] if question else ["", "", ".", "?", ".", "!"]
    if core.endswith("="):
        marks = ["", "", " ?", "?"]
    draw = rng.random()
    if draw < 0.84:
        return Turn(category, noise(rng, core, marks, lower), answer, key, closed)
    if draw < 0.92:
        frame = pick(rng, ["Hi! ", "Hello, ", "Hey, ", "So, ", "OK, ", "Now: ", "Please tell me: ", "Quick question: ",
                           "Tell me, ", "Well, ",
                           "And ", "One more: ", "I have a question: ", "Thanks! ", "Great. "])
        text = frame + noise(rng, core, marks, 1.0 if lower > 0.2 and coin(rng, 0.3) else 0.0)
        return Turn(category, text, answer, key, closed)
    return Turn(category, noise(rng, core, [" please", ", please", " please?", ", please.", "? Thanks!"], lower),
                answer, key, closed)


def say(rng: random.Random, category: str, core: str, answer: str, lower: float = 0.0) -> Turn:
    """A statement, which has no single right answer."""
    if category == "small talk":
        question = core.startswith(("what", "which", "who", "how", "where", "do ", "can ", "are ", "when", "why"))
        if len(core) > 4 and coin(rng, 0.05):
            core = typo(rng, core)
        return Turn(category, noise(rng, core, ["?", "?", "", "??"] if question else ["", "!", ".", ""], 0.3), answer,
                    "", False)
    return Turn(category, noise(rng, core, [".", ".", "", "!"], lower), answer, "", False)
