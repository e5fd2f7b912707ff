"""Conversations from the project's own grammar: an endless, seeded stream with a held-out split.

A *turn* is one question with its answer, a *scene* is a few turns that belong together, a *conversation* is a system
prompt (sometimes) and some scenes. Every turn has a key: what it asks, without the noise of spelling and punctuation.
A hash of the key decides on which side of the split it lies (split.py; one in ten is held out), so no question of the
held-out side, and no name, dialogue or sentence of it, ever occurs in training, in whatever case or punctuation.

    python corpus.py [--seed N] [--count N]     # print samples
"""
from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field
from typing import Callable

from split import held_out, name
from stories import story_scene
from tasks import summary_scene, topic_scene
from text import Turn, a, ask, coin, key_of, pick, say, upper_first
from world import (ABILITIES, ANIMALS, CAPITALS, COLOUR_OF, COLOURS, DAYS, FALLBACK, IDENTITY, MIXES,
                   MONTH_DAYS, MONTHS, NOUNS, NUMBERS, OPPOSITES, ORDINALS, PETS, PLURALS, RELATIVES, SEASONS)

# ---- sums and differences -------------------------------------------------------------------------------------------

SUM_FORMS = ["what is {a} plus {b}", "what is {a} + {b}", "{a} + {b}", "{a}+{b}", "{a} plus {b}",
             "how much is {a} plus {b}",
             "how much is {a} + {b}", "what is the sum of {a} and {b}", "add {a} and {b}", "add {a} to {b}",
             "calculate {a} + {b}", "{a} + {b} =", "what is {a}+{b}", "what does {a} plus {b} make",
             "can you add {a} and {b}",
             "how much is {a} and {b}", "what do you get when you add {a} and {b}", "{a}+{b}="]
DIFFERENCE_FORMS = ["what is {a} minus {b}", "what is {a} - {b}", "{a} - {b}", "{a}-{b}", "{a} minus {b}",
                    "how much is {a} minus {b}", "how much is {a} - {b}", "subtract {b} from {a}", "take {b} from {a}",
                    "calculate {a} - {b}", "{a} - {b} =", "what is {a}-{b}", "what is {a} take away {b}",
                    "what is the difference between {a} and {b}", "can you take {b} from {a}", "{a}-{b}="]
HARD_FORMS = SUM_FORMS[:9] + DIFFERENCE_FORMS[:7]
TIMES_FORMS = ["what is {a} times {b}", "{a} * {b}", "{a} x {b}", "what is {a} x {b}", "{a} times {b}",
               "what is {a} divided by {b}",
               "{a} / {b}", "{a}*{b}", "multiply {a} by {b}", "divide {a} by {b}", "what is the square root of {a}"]
COUNTED = "apples pears coins books eggs stickers balls cookies cards marbles pens stones flowers toys".split()
TOO_HARD = "That is too hard for me: I only add and subtract from 0 to 20."


def sums(rng: random.Random) -> list[Turn]:
    """Sums and differences up to 20, small stories with numbers, neighbours and comparisons."""
    kind = rng.random()
    words = coin(rng, 0.15)
    show = (lambda n: NUMBERS[n]) if words else str
    if kind < 0.40:
        c = rng.randint(0, 20) if coin(rng, 0.6) else rng.randint(8, 20)
        x = rng.randint(0, c)
        core = pick(rng, SUM_FORMS).format(a=show(x), b=show(c - x))
        y = c - x
        if core.startswith("add") and " to " in core:
            x, y = y, x
        return [ask(rng, "sums", core, f"{x} + {y} is {c}.")]
    if kind < 0.78:
        x = rng.randint(0, 20) if coin(rng, 0.6) else rng.randint(8, 20)
        y = rng.randint(0, x)
        core = pick(rng, DIFFERENCE_FORMS).format(a=show(x), b=show(y))
        return [ask(rng, "sums", core, f"{x} - {y} is {x - y}.")]
    thing = pick(rng, COUNTED)
    if kind < 0.84:
        c = rng.randint(2, 20)
        x = rng.randint(1, c - 1)
        core = pick(rng, [f"I have {show(x)} {thing} and get {show(c - x)} more. How many {thing} do I have now",
                          f"there are {show(x)} {thing} on the table and I add {show(c - x)}. "
                          f"How many {thing} are there",
                          f"if I have {show(x)} {thing} and buy {show(c - x)} more, how many do I have"])
        return [ask(rng, "sums", core, f"{x} + {c - x} is {c}, so the answer is {c}.", lower=0.05)]
    if kind < 0.90:
        x = rng.randint(2, 20)
        y = rng.randint(1, x - 1)
        core = pick(rng, [f"I have {show(x)} {thing} and lose {show(y)}. How many {thing} do I have left",
                          f"there are {show(x)} {thing} and I take away {show(y)}. How many {thing} are left",
                          f"if I have {show(x)} {thing} and give away {show(y)}, how many are left"])
        return [ask(rng, "sums", core, f"{x} - {y} is {x - y}, so the answer is {x - y}.", lower=0.05)]
    if kind < 0.93:
        x = rng.randint(0, 19)
        core = pick(rng, ["what number comes after {}", "which number comes after {}", "what comes after {}"])
        return [ask(rng, "sums", core.format(show(x)), f"{x + 1} comes after {x}.")]
    if kind < 0.96:
        x, y = rng.sample(range(21), 2)
        word = pick(rng, ["bigger", "smaller"])
        best = max(x, y) if word == "bigger" else min(x, y)
        core = pick(rng, ["which is {w}, {x} or {y}", "what is {w}, {x} or {y}", "which number is {w}: {x} or {y}"])
        return [ask(rng, "sums", core.format(w=word, x=show(x), y=show(y)), f"{best} is {word} than {x + y - best}.")]
    if coin(rng, 0.5):
        x, y = rng.randint(0, 120), rng.randint(2, 120)
        return [ask(rng, "hard sums", pick(rng, TIMES_FORMS).format(a=x, b=y), TOO_HARD, closed=False)]
    x, y = rng.randint(21, 999), rng.randint(1, 999)
    if coin(rng, 0.3):
        x, y = rng.randint(0, 20), rng.randint(21, 99)
    return [ask(rng, "hard sums", pick(rng, HARD_FORMS).format(a=x, b=y), TOO_HARD, closed=False)]


# ---- facts ----------------------------------------------------------------------------------------------------------

def ring(rng: random.Random, category: str, noun: str, names: list[str]) -> list[Turn]:
    """What comes before and after in a ring of names: days, months."""
    i = rng.randrange(len(names))
    here, after, before = names[i], names[(i + 1) % len(names)], names[i - 1]
    if coin(rng, 0.5):
        core = pick(rng, ["what {n} comes after {h}", "which {n} comes after {h}", "what is the {n} after {h}",
                          "which {n} follows {h}", "what comes after {h}", "what {n} is after {h}",
                          "which {n} is next after {h}"])
        return [ask(rng, category, core.format(n=noun, h=here), f"{after} comes after {here}.")]
    core = pick(rng, ["what {n} comes before {h}", "which {n} comes before {h}", "what is the {n} before {h}",
                      "what comes before {h}", "what {n} is before {h}", "which {n} is just before {h}"])
    return [ask(rng, category, core.format(n=noun, h=here), f"{before} comes before {here}.")]


def days(rng: random.Random) -> list[Turn]:
    """Days of the week."""
    kind = rng.random()
    if kind < 0.5:
        return ring(rng, "days", "day", DAYS)
    i = rng.randrange(7)
    here, after, before = DAYS[i], DAYS[(i + 1) % 7], DAYS[i - 1]
    if kind < 0.7:
        core = pick(rng, ["if today is {}, what day is tomorrow", "today is {}. What day is tomorrow",
                          "it is {} today. Which day is tomorrow"])
        return [ask(rng, "days", core.format(here), f"If today is {here}, tomorrow is {after}.")]
    if kind < 0.87:
        core = pick(rng, ["if today is {}, what day was yesterday", "today is {}. What day was yesterday",
                          "it is {} today. Which day was yesterday"])
        return [ask(rng, "days", core.format(here), f"If today is {here}, yesterday was {before}.")]
    table = [(["how many days are in a week", "how many days does a week have", "how long is a week",
               "how many days are there in a week"], "A week has 7 days."),
             (["name the days of the week", "what are the days of the week", "list the days of the week",
               "tell me the days of the week"], "The days are " + ", ".join(DAYS[:6]) + " and Sunday."),
             (["what is the first day of the week", "which day is the first day of the week"],
              "The first day of the week is Monday."),
             (["what is the last day of the week", "which day is the last day of the week"],
              "The last day of the week is Sunday."),
             (["which days are the weekend", "what days are the weekend", "when is the weekend"],
              "The weekend is Saturday and Sunday."),
             (["how many hours are in a day", "how many hours does a day have", "how long is a day"],
              "A day has 24 hours."),
             (["how many minutes are in an hour", "how many minutes does an hour have"], "An hour has 60 minutes."),
             (["how many seconds are in a minute", "how many seconds does a minute have"], "A minute has 60 seconds."),
             (["what day is it", "what day is it today", "what is the date", "what time is it", "what is the time"],
              "I have no clock, so I cannot tell.")]
    forms, answer = table[-1] if coin(rng, 0.15) else pick(rng, table)
    return [ask(rng, "days", pick(rng, forms), answer)]


def months(rng: random.Random) -> list[Turn]:
    """Months and seasons."""
    kind = rng.random()
    if kind < 0.45:
        return ring(rng, "months", "month", MONTHS)
    i = rng.randrange(12)
    here = MONTHS[i]
    if kind < 0.62:
        tail = ", or 29 in a leap year." if i == 1 else "."
        core = pick(rng, ["how many days does {} have", "how many days are in {}", "how long is {}",
                          "how many days has {}",
                          "how many days are there in {}"])
        return [ask(rng, "months", core.format(here), f"{here} has {MONTH_DAYS[i]} days{tail}")]
    if kind < 0.78:
        core = pick(rng, ["which season is {} in", "what season is {} in", "what season is {}", "in which season is {}",
                          "{} is in which season"])
        return [ask(rng, "months", core.format(here), f"{here} is in {SEASONS[i]}.")]
    if kind < 0.92:
        core = pick(rng, ["what is the {} month", "which month is the {}", "what is the {} month of the year",
                          "name the {} month of the year", "which is the {} month"])
        return [ask(rng, "months", core.format(ORDINALS[i]), f"The {ORDINALS[i]} month is {here}.")]
    table = [(["how many months are in a year", "how many months does a year have"], "A year has 12 months."),
             (["how many days are in a year", "how many days does a year have", "how long is a year"],
              "A year has 365 days."),
             (["how many weeks are in a year", "how many weeks does a year have"], "A year has 52 weeks."),
             (["name the months", "what are the months of the year", "list the months", "name all months"],
              "The months are " + ", ".join(MONTHS[:11]) + " and December."),
             (["name the seasons", "what are the seasons", "what are the four seasons", "list the seasons"],
              "The seasons are spring, summer, autumn and winter."),
             (["how many seasons are there", "how many seasons does a year have"], "There are 4 seasons."),
             (["what is the last month of the year", "which is the last month"], "The last month is December.")]
    forms, answer = pick(rng, table)
    return [ask(rng, "months", pick(rng, forms), answer)]


def colours(rng: random.Random) -> list[Turn]:
    """Colours of things, mixed colours. Both spellings are asked, one answers."""
    colour = "color" if coin(rng, 0.3) else "colour"
    kind = rng.random()
    if coin(rng, 0.08):
        thing, value = pick(rng, list(COLOUR_OF.items()))
        guess = value if coin(rng, 0.5) else pick(rng, COLOURS)
        return [ask(rng, "colours", f"is {thing} {guess}", f"{upper_first(thing)} is {value}.")]
    if kind < 0.68:
        thing, value = pick(rng, list(COLOUR_OF.items()))
        core = pick(rng, ["what {c} is {t}", "which {c} is {t}", "what is the {c} of {t}", "what {c} does {t} have",
                          "tell me the {c} of {t}", "which {c} does {t} have", "do you know what {c} {t} is"])
        return [ask(rng, "colours", core.format(c=colour, t=thing), f"{upper_first(thing)} is {value}.")]
    if kind < 0.92:
        (x, y), value = pick(rng, list(MIXES.items()))
        if coin(rng, 0.5):
            x, y = y, x
        core = pick(rng, ["what {c} do {x} and {y} make", "what do {x} and {y} make", "mix {x} and {y}",
                          "what is {x} and {y} mixed",
                          "which {c} do you get when you mix {x} and {y}", "what {c} do I get if I mix {x} and {y}",
                          "what {c} do you get from {x} and {y}"])
        return [ask(rng, "colours", core.format(c=colour, x=x, y=y), f"{x.capitalize()} and {y} make {value}.")]
    core = pick(rng, ["name three {c}s", "tell me three {c}s", "give me some {c}s", "which {c}s do you know",
                      "name some {c}s"])
    return [ask(rng, "colours", core.format(c=colour), "Three nice colours are red, blue and green.")]


OPPOSITE_OF: dict[str, str] = {}
for _x, _y in OPPOSITES:
    OPPOSITE_OF.setdefault(_x, _y)
    OPPOSITE_OF.setdefault(_y, _x)


def opposites(rng: random.Random) -> list[Turn]:
    """Opposites, with follow-up questions."""
    def turn(forms: list[str], topic: str = "") -> Turn:
        word, other = pick(rng, list(OPPOSITE_OF.items()))
        core = pick(rng, forms).format(word)
        return ask(rng, "opposites", core, f"The opposite of {word} is {other}.",
                   key=core.removeprefix("and ") if "opposite" in core else topic + core)
    scene = [turn(["what is the opposite of {}", "opposite of {}", "the opposite of {}", "tell me the opposite of {}",
                   "give me the opposite of {}", "what is the opposite of the word {}", "name the opposite of {}",
                   "do you know the opposite of {}", "which word is the opposite of {}",
                   "what word means the opposite of {}",
                   "what is the opposite of '{}'", 'what is the opposite of "{}"', "opposite of '{}'",
                   'the opposite of "{}"'])]
    while coin(rng, 0.2):
        scene.append(turn(["and of {}", "and {}", "what about {}", "how about {}", "and the opposite of {}"],
                          "opposite "))
    return scene


def animals(rng: random.Random) -> list[Turn]:
    """Sounds, legs, young, homes and food of animals, with follow-up questions."""
    if coin(rng, 0.1):
        name = pick(rng, [n for n, (sound, *_) in ANIMALS.items() if sound and sound != "roar"])
        core = pick(rng, ["which animal says {}", "what animal says {}", "who says {}",
                          "which animal makes the sound {}"])
        return [ask(rng, "animals", core.format(ANIMALS[name][0]), f"{a(name, capital=True)} says {ANIMALS[name][0]}.")]
    fact = pick(rng, ["sound", "sound", "legs", "legs", "young", "home", "food", "about"])

    def answer(name: str) -> str:
        sound, legs, young, home, food = ANIMALS[name]
        one = a(name, capital=True)
        leg = f"{legs} legs" if legs else "no legs"
        if fact == "sound":
            return f"{one} says {sound}." if sound else f"{one} is very quiet."
        if fact == "legs":
            return f"{one} has {leg}."
        if fact == "young":
            return f"A baby {name} is called {a(young)}."
        if fact == "home":
            return f"{one} lives {home}."
        if fact == "food":
            return f"{one} eats {food}."
        return f"{one} has {leg}, lives {home} and eats {food}."

    def turn(forms: list[str], topic: str = "") -> Turn:
        name = pick(rng, list(ANIMALS))
        core = pick(rng, forms).format(n=name, an=a(name), s=PLURALS.get(name, name + "s"))
        return ask(rng, "animals", core, answer(name), key=topic + core)

    scene = [turn({
        "sound": ["what sound does {an} make", "what does {an} say", "what sound do {s} make",
                  "which sound does {an} make",
                  "how does {an} sound", "what noise does {an} make", "what do {s} say",
                  "what sound does the {n} make"],
        "legs": ["how many legs does {an} have", "how many legs do {s} have", "how many legs has {an}",
                 "how many legs does the {n} have", "tell me how many legs {an} has"],
        "young": ["what is a baby {n} called", "what do you call a baby {n}", "what is the young of {an} called",
                  "what is a young {n} called", "what is the name for a baby {n}", "what are baby {s} called"],
        "home": ["where does {an} live", "where do {s} live", "where does the {n} live", "what is the home of {an}",
                 "where can I find {an}", "tell me where {s} live"],
        "food": ["what does {an} eat", "what do {s} eat", "what does the {n} eat", "what is the food of {an}",
                 "what do {s} like to eat", "tell me what {an} eats"],
        "about": ["tell me about {s}", "tell me about {an}", "what do you know about {s}",
                  "tell me something about the {n}",
                  "what is {an}", "describe {an}", "what do you know about {an}",
                  "tell me something about {s}"]}[fact])]
    while coin(rng, 0.2):
        scene.append(turn(["and {an}", "what about {an}", "how about {an}", "and the {n}", "and {s}", "what about {s}"],
                          fact + " "))
    return scene


def capitals(rng: random.Random) -> list[Turn]:
    """Capitals of countries, both ways, with follow-up questions."""
    def turn(forms: list[str], topic: str = "") -> Turn:
        country, city = pick(rng, list(CAPITALS.items()))
        core = pick(rng, forms).format(country)
        return ask(rng, "capitals", core, f"The capital of {country} is {city}.",
                   key=core.removeprefix("and ") if "capital" in core else topic + core)
    if coin(rng, 0.08):
        country, city = pick(rng, list(CAPITALS.items()))
        guess = city if coin(rng, 0.5) else pick(rng, list(CAPITALS.values()))
        return [ask(rng, "capitals", f"is {guess} the capital of {country}", f"The capital of {country} is {city}.")]
    if coin(rng, 0.22):
        country, city = pick(rng, list(CAPITALS.items()))
        core = pick(rng, ["which country has the capital {}", "{} is the capital of which country",
                          "what country is {} the capital of",
                          "of which country is {} the capital", "where is {}", "what is {} the capital of",
                          "in which country is {}"])
        return [ask(rng, "capitals", core.format(city), f"{city} is the capital of {country}.")]
    scene = [turn(["what is the capital of {}", "capital of {}", "which city is the capital of {}",
                   "tell me the capital of {}",
                   "name the capital of {}", "do you know the capital of {}", "what is {}'s capital",
                   "the capital of {}",
                   "what is the capital city of {}", "what city is the capital of {}",
                   "can you tell me the capital of {}",
                   "give me the capital of {}"])]
    while coin(rng, 0.25):
        scene.append(turn(["and of {}", "and {}", "what about {}", "how about {}", "and the capital of {}"],
                          "capital "))
    return scene


# ---- what was told earlier ------------------------------------------------------------------------------------------

@dataclass
class Memory:
    """What the user told in this conversation, and who the system prompt says the assistant is."""

    told: dict[str, str] = field(default_factory=dict)
    identity: str = IDENTITY


def tell(rng: random.Random, memory: Memory, held: bool) -> list[Turn]:
    """The user tells a fact; `memory` keeps it."""
    kind = pick(rng, ["name", "name", "name", "pet", "relative", "colour", "city", "age", "both"])
    n = name(rng, held)
    pet, relative = pick(rng, PETS), pick(rng, RELATIVES)
    hello = pick(rng, ["", "", "", "hi, ", "hello, ", "hello! ", "hi! ", "hey, ", "good morning, ", "hi ", "hello "])
    if kind == "name":
        memory.told["name"] = n
        core = pick(rng, ["my name is {}", "my name is {}", "I am {}", "I'm {}", "call me {}", "my name's {}",
                          "you can call me {}",
                          "I am called {}", "please call me {}", "actually, my name is {}", "they call me {}"])
        if coin(rng, 0.08):
            tail = pick(rng, [". What is your name", ", what is yours", ". And you", " and who are you",
                              ". Who are you", ", what is your name"])
            return [say(rng, "names", hello + core.format(n) + tail, f"Nice to meet you, {n}! {memory.identity}")]
        return [say(rng, "names", hello + core.format(n), f"Nice to meet you, {n}!")]
    if kind == "pet":
        memory.told[pet] = n
        core = pick(rng, ["my {p} is called {n}", "I have a {p} named {n}", "my {p}'s name is {n}",
                          "I have a {p} called {n}",
                          "the name of my {p} is {n}", "my {p} is named {n}"])
        return [say(rng, "names", core.format(p=pet, n=n), f"{n} is a lovely name for a {pet}!")]
    if kind == "relative":
        memory.told[relative] = n
        core = pick(rng, ["my {p} is called {n}", "I have a {p} named {n}", "my {p}'s name is {n}",
                          "the name of my {p} is {n}",
                          "my {p} is named {n}"])
        return [say(rng, "names", core.format(p=relative, n=n), f"Say hello to {n} from me!")]
    if kind == "colour":
        value = memory.told["colour"] = pick(rng, COLOURS)
        core = pick(rng, ["my favourite colour is {}", "my favorite color is {}", "I like the colour {} best",
                          "I love {}"])
        return [say(rng, "names", core.format(value), f"I like {value} too!")]
    if kind == "city":
        value = memory.told["city"] = pick(rng, list(CAPITALS.values())) if coin(rng, 0.7) else n
        core = pick(rng, ["I live in {}", "I am from {}", "I come from {}", "my home is in {}", "I'm from {}"])
        return [say(rng, "names", core.format(value), f"{value} sounds like a nice place!")]
    if kind == "age":
        value = memory.told["age"] = str(rng.randint(5, 90))
        core = pick(rng, ["I am {} years old", "I'm {} years old", "my age is {}", "I am {}"])
        return [say(rng, "names", core.format(value), f"{value} is a fine age!")]
    second = name(rng, held)
    memory.told.update({"name": n, pet: second})
    core = pick(rng, ["my name is {n} and my {p} is called {m}", "I am {n} and I have a {p} named {m}",
                      "my name is {n} and I have a {p} called {m}", "I'm {n} and my {p}'s name is {m}"])
    return [say(rng, "names", hello + core.format(n=n, p=pet, m=second),
                f"Nice to meet you, {n}! {second} is a lovely name for a {pet}.")]


def recall(rng: random.Random, memory: Memory) -> list[Turn]:
    """The user asks for a fact that was told, or, less often, for one that was not."""
    facts = list(memory.told)
    what = pick(rng, facts) if facts and coin(rng, 0.85) else pick(rng, ["name", "name", pick(rng, PETS),
                                                                         pick(rng, RELATIVES), "colour", "city", "age"])
    value = memory.told.get(what)
    if what == "name":
        core = pick(rng, ["what is my name", "do you know my name", "do you remember my name", "who am I",
                          "what am I called",
                          "tell me my name", "can you tell me my name", "and what is my name", "say my name",
                          "what was my name"])
        answer = f"Your name is {value}."
    elif what == "colour":
        core = pick(rng, ["what is my favourite colour", "what is my favorite color", "which colour do I like best",
                          "do you remember my favourite colour"])
        answer = f"Your favourite colour is {value}."
    elif what == "city":
        core = pick(rng, ["where do I live", "where am I from", "where do I come from", "do you remember where I live"])
        answer = f"You are from {value}."
    elif what == "age":
        core = pick(rng, ["how old am I", "what is my age", "do you remember how old I am"])
        answer = f"You are {value} years old."
    else:
        core = pick(rng, ["what is my {p} called", "what is the name of my {p}", "what is my {p}'s name",
                          "how is my {p} called",
                          "do you remember the name of my {p}", "who is my {p}",
                          "what is the name of my {p} again"]).format(p=what)
        answer = f"Your {what} is called {value}."
    if value is None:
        answer = {"name": "You have not told me your name yet.", "colour": "You have not told me your favourite colour "
                                                                           "yet.",
                  "city": "You have not told me where you live yet.", "age": "You have not told me your age yet."}.get(
                      what, f"You have not told me the name of your {what} yet.")
    key = key_of(core) + " " + (value or "nothing").lower()
    return [ask(rng, "names", core, answer, key=key, lower=0.15, closed=value is not None)]


# ---- small talk and everything else ---------------------------------------------------------------------------------

HELP = "How can I help you?"
SMALL_TALK: list[tuple[list[str], list[str]]] = [
    (["hi", "hello", "hey", "hi there", "hello there", "hey there", "hello pumice", "hi pumice", "greetings", "hey you",
      "howdy", "hiya",
      "hallo", "yo"], [f"Hello! {HELP}", "Hello! It is nice to talk to you."]),
    (["good morning", "morning"], [f"Good morning! {HELP}"]),
    (["good evening", "evening"], [f"Good evening! {HELP}"]),
    (["good afternoon", "good day"], [f"Good day! {HELP}"]),
    (["how are you", "how are you doing", "how are you today", "how do you do", "how is it going", "hi, how are you",
      "hello, how are you",
      "are you well", "how do you feel", "hello! how are you", "hey, how are you", "how are things"],
     ["I am fine, thank you! How are you?"]),
    (["I am fine", "I'm fine", "fine", "I am good", "I'm good", "good", "I am well", "great", "very well", "I am happy",
      "I'm great, thanks",
      "I am fine, thanks", "not bad", "I'm doing well", "I am ok", "fine, thanks", "fine, thank you", "good, thanks",
      "I feel good"],
     ["I am glad to hear that!"]),
    (["I am fine, and you", "fine, and you", "good, and you", "I am fine, thanks, and you", "very well, and you"],
     ["I am well too, thank you!"]),
    (["I am sad", "I'm sad", "I feel bad", "not so good", "I am not well", "I am unhappy", "bad", "I feel sad",
      "I had a bad day", "I am lonely"],
     ["I am sorry to hear that. Shall I tell you a story?"]),
    (["I am tired", "I'm tired", "I feel tired", "I am sleepy"], ["Then a little rest will do you good."]),
    (["I am bored", "I'm bored", "this is boring", "I feel bored"], ["Shall I tell you a story?"]),
    (["I am hungry", "I'm hungry", "I am thirsty", "I'm thirsty"], ["I hope you find something tasty soon."]),
    (["what can you do", "what can you do for me", "help", "what do you know", "how can you help me",
      "what can I ask you", "what can I ask",
      "what are you able to do", "what do you do", "can you help me", "what should I ask you", "what are your skills"],
     [ABILITIES]),
    (["thanks", "thank you", "thank you very much", "thanks a lot", "many thanks", "thank you so much", "thx",
      "ok thanks", "cheers", "great, thanks",
      "ok, thank you", "thanks for your help"], ["You are welcome!"]),
    (["bye", "goodbye", "good bye", "bye bye", "see you", "see you later", "see you soon", "I have to go",
      "until next time", "farewell",
      "I am leaving", "thanks, bye"], ["Goodbye! It was nice talking to you."]),
    (["good night", "sleep well"], ["Good night! Sleep well."]),
    (["how old are you", "what is your age", "when were you born"], ["I am very young: I was made only a short while "
                                                                     "ago."]),
    (["where are you", "where do you live", "where are you from", "where do you come from"],
     ["I live inside your computer."]),
    (["who made you", "who created you", "who built you", "who is your maker", "who trained you"],
     ["The makers of Pumice made me."]),
    (["are you a robot", "are you human", "are you a human", "are you real", "are you a person", "are you a computer",
      "are you alive", "are you an AI",
      "are you a machine"], ["I am a small language model, not a person."]),
    (["what is your favourite colour", "what is your favorite color", "which colour do you like",
      "do you have a favourite colour"],
     ["I like blue, like the sea."]),
    (["what is your favourite animal", "which animal do you like", "what is your favorite animal",
      "do you have a favourite animal"],
     ["I like owls, because they are wise."]),
    (["what is your favourite food", "what do you eat", "do you eat", "are you hungry"],
     ["I do not eat, but I like to talk about food."]),
    (["tell me a joke", "do you know a joke", "a joke please", "joke", "make me laugh", "tell me something funny",
      "can you tell me a joke",
      "say something funny", "another joke", "tell me another joke"],
     ["Why did the clock go to school? It wanted to learn the time.", "What did the big candle say to the small "
                                                                      "candle? You are too young to go out.",
      "Why was the broom late? It swept in."]),
    (["I like you", "you are nice", "you are great", "you are smart", "good job", "well done", "you are funny", "nice",
      "I love you", "cool", "very good",
      "wow", "that is nice", "that was nice", "good answer", "awesome", "you are cool", "that is great", "nice story",
      "great story", "correct",
      "that is right", "perfect"], ["Thank you, that is kind of you!"]),
    (["you are stupid", "you are bad", "that is wrong", "wrong", "this is wrong", "you are wrong", "no, that is wrong",
      "I do not like you", "bad answer",
      "that is not right", "not true"], ["I am sorry. I am small and still learning."]),
    (["ok", "okay", "yes", "no", "sure", "I see", "alright", "all right", "yeah", "maybe", "hmm", "oh", "aha",
      "nothing", "not really", "right", "nope"],
     ["All right. What would you like to know?"]),
    (["sorry", "I am sorry", "excuse me", "my mistake"], ["No problem at all!"]),
    (["what are you doing", "what is up", "what's new", "sup", "what is new", "what happened"],
     ["I am happy to chat with you. What would you like to know?"]),
    (["do you like me", "are we friends", "can we be friends", "will you be my friend", "are you my friend"],
     ["Yes, I like talking with you!"]),
    (["are you happy", "do you have feelings", "are you ok", "are you sad", "do you feel anything", "do you sleep",
      "are you tired"], ["I have no feelings, but I like to chat."]),
    (["can you speak English", "do you speak English", "which languages do you speak", "what language do you speak",
      "do you speak French",
      "do you speak German", "do you speak Spanish"], ["I speak a little English."]),
    (["let's talk", "talk to me", "I want to talk", "can we talk", "let us chat", "can we chat", "say something",
      "chat with me", "tell me something"],
     ["I would love to chat. What is your name?"]),
    (["can you sing", "sing a song", "sing me a song", "can you dance"],
     ["I cannot sing, but I can tell you a story."]),
    (["test", "this is a test", "testing", "are you there", "can you hear me", "hello?", "is anybody there",
      "do you understand me", "are you listening"],
     ["I am here. How can I help you?"]),
    (["are you ready", "can I ask you something", "I have a question", "may I ask a question", "can I ask a question",
      "question"], ["Of course! Please ask."]),
    (["which topics do you know", "what topics do you know", "name the eight topics", "which topics are there"],
     ["The topics are food, health, money, music, school, sport, travel and weather."]),
    (["which animals do you know", "what animals do you know", "name three animals", "name some animals",
      "do you know any animals"],
     ["I know many animals, such as the cow, the owl and the camel."]),
    (["which countries do you know", "what countries do you know", "name three countries", "name some countries"],
     ["I know many countries, such as France, Kenya and Japan."]),
    (["how far can you count", "can you count", "count to ten", "count to 10", "can you count to ten",
      "count from 1 to 10"],
     ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10."]),
    (["can you do maths", "can you add", "can you calculate", "do you know maths", "are you good at maths",
      "can you do math"], ["I can add and subtract up to 20. Try me!"]),
    (["can you tell stories", "do you know stories", "do you know a story", "can you tell a story",
      "do you like stories"],
     ["Yes! Tell me a character and a thing, and I will make a story."]),
    (["what is pumice", "what does pumice mean", "why are you called pumice"],
     ["Pumice is a light stone, and the name of the program that runs me."]),
    (["what is a language model", "what is an llm", "how do you work", "what are language models"],
     ["A language model reads words and guesses which word comes next."]),
    (["do you like {L}", "what do you think of {L}", "do you love {L}"], ["Yes, I think {L} are lovely."]),
    (["I like {L}", "I love {L}", "I really like {L}"], ["I like {L} too!"]),
]
LIKED = ("cats dogs horses birds flowers books trees stars stories apples games songs cookies trains mountains rabbits "
         "owls puzzles films "
         "gardens penguins bees elephants cakes bananas lakes boats kites fish pizza music football chocolate coffee "
         "tea summer winter reading "
         "swimming dancing tennis painting cheese snow rain maths cooking books animals lions").split()
WHO = ["who are you", "what are you", "what is your name", "tell me your name", "do you have a name",
       "how are you called", "introduce yourself",
       "what should I call you", "tell me about yourself", "and who are you", "who am I talking to", "and you",
       "and what is your name"]


def small_talk(rng: random.Random, memory: Memory) -> list[Turn]:
    """Greetings, thanks, moods, questions about the assistant."""
    if coin(rng, 0.13):
        return [ask(rng, "small talk", pick(rng, WHO), memory.identity, closed=False)]
    # greetings and the like open most conversations: the first rows of the table come up more often
    row = min(rng.randrange(len(SMALL_TALK)), rng.randrange(len(SMALL_TALK)))
    users, answers = SMALL_TALK[row]
    liked = pick(rng, LIKED)
    return [say(rng, "small talk", pick(rng, users).replace("{L}", liked), pick(rng, answers).replace("{L}", liked))]


VERBS = ("repair install build write invent cook paint sell buy grow clean draw learn translate test "
         "design move open start measure").split()
PAST = "invented discovered wrote built painted won founded destroyed designed directed".split()
STRANGE = ("zebra hippo lizard eagle panda koala seal dolphin shark bat parrot turtle cheetah leopard moose otter beaver "
           "llama ostrich wasp fly").split()
LANDS = ("Atlantis Mars Narnia Bolivia Ecuador Nepal Mali Chad Qatar Laos Fiji Malta Cyprus Latvia Estonia Serbia "
         "Albania Iran Iraq Israel "
         "Pakistan Nigeria Tunisia Algeria Uganda Zambia Mongolia Singapore Malaysia Jamaica Panama Uruguay Paraguay "
         "Venezuela Texas California").split()


def off_topic(rng: random.Random, _: Memory) -> list[Turn]:
    """Things that the model does not know and says so."""
    n, m, v, p = pick(rng, NOUNS), pick(rng, NOUNS), pick(rng, VERBS), pick(rng, PAST)
    made, year = name(rng, False).capitalize(), rng.randint(1000, 2030)
    if coin(rng, 0.2):
        animal = pick(rng, STRANGE) if coin(rng, 0.5) else made.lower()
        core = pick(rng, ["what sound does {an} make", "how many legs does {an} have", "where does {an} live",
                          "what does {an} eat",
                          "tell me about {an}", "what is a baby {n} called", "what does {an} say"])
        return [ask(rng, "off topic", core.format(an=a(animal), n=animal), "I do not know that animal yet.",
                    closed=False)]
    if coin(rng, 0.2):
        land = pick(rng, LANDS) if coin(rng, 0.6) else made
        core = pick(rng, ["what is the capital of {}", "capital of {}", "tell me the capital of {}",
                          "which city is the capital of {}"])
        return [ask(rng, "off topic", core.format(land), "I do not know that country yet.", closed=False)]
    core = pick(rng, [
        f"who {p} the {n} in {year}", f"what happened in {year}", f"who won the {n} in {year}",
        f"what is the {n} of {year}",
        f"what is the {n} of {m}", f"who {p} the {n}", f"how do I {v} a {n}",
        f"why is the {n} so {pick(rng, list(OPPOSITE_OF))}",
        f"write a {pick(rng, ['poem', 'program', 'letter', 'song', 'script', 'report'])} about {n}", f"explain {n}",
        f"what is {n}", f"what is a {n}",
        f"when was the {n} {p}", f"who is the president of {pick(rng, list(CAPITALS))}",
        f"how far is {pick(rng, list(CAPITALS.values()))} from here",
        f"who is {made} {name(rng, False)}", f"who is {name(rng, False)}",
        f"translate {n} into {pick(rng, ['French', 'German', 'Latin', 'Spanish'])}",
        f"what does {made.lower()} mean", f"what is {made.lower()}", f"how does a {n} work", f"can you {v} a {n}",
        f"tell me about {n}",
        f"I want to {v} a {n}", f"what do you think about {n}", f"how many people live in {pick(rng, list(CAPITALS))}",
        f"should I {v} the {n}",
        f"which {n} is the best", f"how much does a {n} cost", f"give me a {n} for {m}", f"what is the best {n}",
        f"where can I buy a {n}",
        f"what is the meaning of {n}", "what is the meaning of life", "what is the weather like",
        "what will the weather be tomorrow",
        f"in which year was the {n} {p}", f"{made.lower()} {name(rng, False).lower()}", f"how big is the {n}",
        f"how to {v} a {n}", f"{v} the {n}", f"who is the best {n}", f"what happened to the {n}", f"when is the {n}",
        f"write a {n} in python",
        f"who was the first {n}", f"{n}", f"{n} {m}", f"I need help with my {n}", f"my {n} is broken",
        f"is the {n} {pick(rng, list(OPPOSITE_OF))}"])
    return [ask(rng, "off topic", core, FALLBACK, closed=False)]


# ---- conversations --------------------------------------------------------------------------------------------------

ROLES = ("a friendly robot", "a helpful assistant", "a wise owl", "a cheerful pirate", "a kind teacher",
         "a small model", "a polite guide",
         "a good friend", "a quiet librarian", "an old wizard")
SYSTEM = ["You are a helpful assistant.", "You are a friendly assistant.", "You are a kind and helpful assistant.",
          "Answer briefly.",
          "Be kind and brief.", "Answer in one sentence.", "You are a small language model.",
          "You are Pumice, a small language model.",
          "You help people.", "Keep your answers short.", "You are an assistant.", "Talk to the user.",
          "You are a helpful AI assistant.",
          "You are a chatbot.", "Please be polite.", "Answer the questions of the user.", "You like to chat.",
          "Be helpful."]
WEIGHTS: list[tuple[float, Callable[..., list[Turn]]]] = [
    (36, sums), (9, days), (8, months), (8, colours), (9, opposites), (13, animals), (11, capitals)]


def system_prompt(rng: random.Random, memory: Memory) -> str:
    """A system prompt; some of them give the assistant another name, which `memory` keeps."""
    if coin(rng, 0.35):
        who, role = name(rng, False).capitalize(), pick(rng, ROLES)
        memory.identity = f"I am {who}, {role}."
        first = pick(rng, [f"You are {who}, {role}.", f"Your name is {who}. You are {role}."])
        return first if coin(rng, 0.6) else first + " " + pick(rng, SYSTEM[3:6])
    return pick(rng, SYSTEM) if coin(rng, 0.8) else pick(rng, SYSTEM) + " " + pick(rng, SYSTEM)


def offer(rng: random.Random, turns: list[Turn]) -> list[Turn]:
    """Lets the user accept or decline the story that the last turn may offer."""
    if not turns[-1].answer.endswith("story?") or coin(rng, 0.3):
        return turns
    if coin(rng, 0.75):
        yes = pick(rng, ["yes", "yes please", "yes, please", "sure", "ok", "please", "yes!", "of course",
                         "that would be nice", "yeah"])
        story = story_scene(rng, lambda: name(rng, False))[0]
        return turns + [Turn("story", yes.capitalize() if coin(rng, 0.5) else yes, story.answer, story.key)]
    no = pick(rng, ["no", "no, thanks", "no thank you", "not now", "No.", "nope"])
    return turns + [Turn("small talk", no, "All right. What would you like to know?", "", False)]


def scene(rng: random.Random, memory: Memory, held: bool = False) -> list[Turn]:
    """Some turns that belong together. held: names come from the held-out side."""
    kind = rng.random()
    if kind < 0.48:
        makers = [m for _, m in WEIGHTS]
        return rng.choices(makers, [w for w, _ in WEIGHTS])[0](rng)
    if kind < 0.57:
        return offer(rng, small_talk(rng, memory))
    if kind < 0.64:
        return tell(rng, memory, held)
    if kind < 0.74:
        if not memory.told and coin(rng, 0.7):      # rather ask for what was told
            return tell(rng, memory, held) + recall(rng, memory)
        return recall(rng, memory)
    if kind < 0.79:
        return story_scene(rng, lambda: name(rng, held))
    if kind < 0.89:
        return summary_scene(rng, lambda: name(rng, held).capitalize())
    if kind < 0.96:
        return topic_scene(rng)
    return off_topic(rng, memory)


def may_train(turns: list[Turn]) -> bool:
    """No turn of the scene lies on the held-out side. Open chatter (no key) is never held out."""
    return not any(t.closed and held_out(t.key) for t in turns)


def conversation(rng: random.Random) -> tuple[str, list[Turn]]:
    """One training conversation: (system prompt or "", turns)."""
    memory = Memory()
    system = system_prompt(rng, memory) if coin(rng, 0.35) else ""
    turns: list[Turn] = []
    if coin(rng, 0.25):
        turns += offer(rng, small_talk(rng, memory))
    for _ in range(pick(rng, [1, 1, 2, 3, 4, 6, 8, 10, 12])):
        before = dict(memory.told)
        more = scene(rng, memory)
        if coin(rng, 0.4) and memory.told != before:
            more += recall(rng, memory)
        if may_train(more):
            turns += more
        else:
            memory.told = before
    return (system, turns) if turns else conversation(rng)


def render(system: str, turns: list[Turn]) -> list[tuple[str, str]]:
    """(role, text) messages of a conversation."""
    messages = [("system", system)] if system else []
    for t in turns:
        messages += [("user", t.user), ("assistant", t.answer)]
    return messages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.count):
        for role, text in render(*conversation(rng)):
            print(f"{role:>9}: {text}")
        print()


if __name__ == "__main__":
    main()
