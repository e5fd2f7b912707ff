"""Short stories about a character and a thing."""
from __future__ import annotations

import random
from typing import Callable

from text import Turn, a, coin, key_of, noise, pick, upper_first
from world import ADJECTIVES, CREATURES, HELPERS, NOUNS, PLACES, THINGS

OPEN = ["Once upon a time, {C} lived in {P}.", "Once upon a time there was {C} in {P}.",
        "Long ago, {C} lived near {P}."]
END = ["From that day on, {c} and {h} were the best of friends.", "And {c} was happy for the rest of the day.",
       "That night, {c} slept very well.", "{c} smiled all the way home.", "And so the day had a happy end."]
ALONE = END[1:]
# Plots are lists of sentences; a list inside a plot means: pick one. C, T, H: first mention, c, t, h: the same again.
PLOTS: list[list[str | list[str]]] = [
    [["One morning, {c} found {T} on the path.", "One sunny day, {c} saw {T} in the grass."],
     '"Whose {n} is this?" asked {c}.',
     ["{c} asked everybody, but nobody knew.", "{c} walked from door to door to find out."],
     'At last {c} met {H} who was looking everywhere. "That is my {n}!" said {h}.',
     ["{c} gave back the {n}, and {h} danced with joy.", "{c} was glad to help and gave it back."], END],
    [["{c} had {T} and took it everywhere.", "{c} loved nothing more than {T}."],
     ["One day, the {n} was gone.", "But one morning, the {n} was not there."],
     ["{c} looked under the bed and behind the door, but found nothing.",
      "{c} looked in every corner and began to cry."],
     'Then {H} came by. "I saw your {n} near the river," said {h}.', ["Together they went to the river and found it.",
                                                                      "They ran to the river, and there it was."], END],
    [["One day, {c} got {T} as a present.", "One day, {c} bought {T} at the market."],
     ["But on the way home, the {n} broke.", "But soon the {n} fell down and broke."],
     ["{c} was very sad.", "{c} sat down and cried."], '{H} saw this and said, "Do not worry, I can help you."',
     ["They worked all afternoon, and in the evening the {n} was as good as new.",
      "With a little glue and a lot of time they made it whole again."], END],
    [["More than anything, {c} wanted {T}.", "Every night, {c} dreamed of {T}."],
     ["But {c} had no money.", "But {T} costs a lot of money."],
     ["So {c} helped {H} in the garden for seven days.", "So {c} carried water for {H} the whole week."],
     ["On the last day, {h} said, \"You have worked well. This is for you.\"",
      '"Thank you for your help," said {h} and opened a big box.'],
     ["In it was the {n}.", "And there it was: the {n}!"], END],
    [["One windy day, {c} went out with {T}.", "One day, {c} took {T} to the hill."],
     ["A strong wind came and blew the {n} into a tall tree.", "The wind took the {n} and carried it to the top of a "
                                                               "tree."],
     ["{c} jumped and jumped, but the tree was too high.", "{c} tried to climb up, but the tree was too high."],
     ['"Let me help," said {H} and shook the tree.', '{H} heard the noise and climbed up.'],
     ["Down came the {n}!", "Soon the {n} was back on the ground."], END],
    [["{c} had {T} and liked it very much.", "One day, {c} played with {T} in the sun."],
     ["Then {c} saw {H} who sat alone and looked sad.", "Nearby, {H} sat alone under a tree."],
     '"I have nobody to play with," said {h}.', ["{c} thought for a moment and gave the {n} to {h}.",
                                                 '"Come and play with me," said {c}.'],
     ["They shared the {n} and laughed until the sun went down.", "They played with the {n} until it was dark."], END],
    ["{H} had a birthday, and {c} wanted to make a present.", ["{c} thought about it all day.",
                                                               "But what should it be?"],
     ["In the end, {c} made {T}.", "After a long time, {c} chose {T}."], ["{c} put the {n} into a box and ran to the "
                                                                          "party.",
                                                                          "{c} painted the {n} and put it into a nice "
                                                                          "box."],
     '"This is the best present of all," said {h}.', END],
    [["One night, {c} heard a strange noise.", "One dark night, a noise woke {c} up."],
     ["{c} was afraid but got up and looked outside.", "Slowly, {c} went to the door and opened it."],
     ["There was only {H} with {T}.", "There stood {H} with {T} under the moon."],
     '"I could not sleep," said {h}. "So I play with my {n}."',
     ["{c} laughed and made some tea for both.", "They both laughed and sat down together."], END],
    [["One day, {c} found {T} in an old chest.", "One rainy day, {c} opened an old box and found {T}."],
     ["It was no common {n}: it could talk!", "But this was a magic {n}."],
     '"You have one wish," said the {n}.', ["{c} thought of the hungry children in town.",
                                            "{c} thought about it for a long time."],
     ['"I wish that everybody has enough to eat," said {c}.', '"I wish for a friend," said {c}.'],
     ["And the wish came true.", "There was a flash of light, and the wish came true."], ALONE],
]
FRIENDS: list[list[str | list[str]]] = [
    ["One day, {c} met {T}.", ['"Do you want to play with me?" asked {c}.',
                               '"Hello! Will you play with me?" asked {c}.'],
     ['"Yes, I would love to," said the {n}.', '"Yes, please," said the {n}.'],
     ["They ran over the hills and jumped over the stream.", "They played hide and seek among the trees."],
     ["When it began to rain, they hid under a big leaf.", "When they were hungry, they shared an apple."],
     ["From that day on, {c} and the {n} were the best of friends.", "And they met again every day."]],
    [["One day, {c} saw {T} in a deep hole.", "One day, {c} heard {T} cry for help."],
     '"Help me, please!" said the {n}.', ["{c} found a long rope and pulled and pulled.",
                                          "{c} was small, but very brave."],
     ["Soon the {n} was free.", "It took a long time, but then the {n} was free."],
     '"Thank you, you are a true friend," said the {n}.',
     ["From that day on, {c} and the {n} were the best of friends.", "They walked home together and were happy."]],
    [["{c} and the {n} both wanted to be the fastest.", "{c} and the {n} were always arguing."],
     '"Let us have a race to the old tree," said {c}.', ["They ran as fast as they could.",
                                                         "They ran through the mud and over the stones."],
     ["Close to the tree, the {n} fell down.", "But then the {n} hurt a foot."],
     ["{c} stopped and helped the {n} to get up.", "{c} could have won, but went back to help."],
     ["They reached the tree together, and both were winners.", "So nobody lost, and both were happy."]],
]
REQUESTS = ["tell me a story about {x}", "tell me a story about {x}", "tell me a short story about {x}",
            "can you tell me a story about {x}", "a story about {x}", "write a story about {x}",
            "write a short story about {x}", "I want a story about {x}", "tell a story about {x}",
            "please tell me a story about {x}", "make up a story about {x}", "story about {x}",
            "I would like a story about {x}", "do you know a story about {x}", "tell me about {x} in a story",
            "could you tell a story about {x}"]
OPEN_REQUESTS = ["tell me a story", "tell me a short story", "can you tell me a story", "a story please",
                 "I want a story", "story", "tell a story", "another story",
                 "write a story", "tell me another story", "do you have a story for me", "I would like a story",
                 "one more story", "please tell me a story", "a bedtime story"]


def tale(rng: random.Random, first: str, again: str, thing: str, noun: str, friend: bool) -> str:
    """The story. first/again: how the character is mentioned; thing: with article; noun: without."""
    helper = pick(rng, [h for h in HELPERS if h not in again and h != noun])
    place = pick(rng, [f"a small {p}" for p in PLACES] + [f"a quiet {p}" for p in PLACES] + ["a little house",
                                                                                             "a big town by the sea"])
    old = pick(rng, ["", "old ", "little ", "friendly ", "wise "])
    words = {"C": first, "c": again, "T": thing, "n": noun, "H": a(old + helper), "h": f"the {helper}", "P": place}
    out = []
    for step in [OPEN] + pick(rng, FRIENDS if friend else PLOTS):
        line = (step if isinstance(step, str) else pick(rng, step)).format(**words)
        out.append(upper_first(line))
    return " ".join(out)


def story_scene(rng: random.Random, new_name: Callable[[], str]) -> list[Turn]:
    """A request for a story about a character and a thing, either of them, or none."""
    thing, friend = pick(rng, THINGS), False
    if coin(rng, 0.08):
        thing = pick(rng, NOUNS)
    noun_phrase = thing
    if coin(rng, 0.12):
        friend, thing = True, pick(rng, CREATURES)
        noun_phrase = thing
    if coin(rng, 0.25):
        noun_phrase = pick(rng, ADJECTIVES) + " " + thing
    kind = rng.random()
    if kind < 0.3:                                          # a person
        who = new_name()
        asked, first, again = who, who, who
        if coin(rng, 0.15):
            asked = f"{pick(rng, ['a child', 'a girl', 'a boy', 'somebody'])} named {who}"
            first = asked
    else:
        creature = pick(rng, [c for c in CREATURES if c != thing])
        if coin(rng, 0.06):
            creature = pick(rng, [n for n in NOUNS if n != thing])
        size = pick(rng, ["", "", "", "little ", "big ", "young ", "old ", "brave ", "tiny "])
        asked, again = a(size + creature), f"the {creature}"
        first = asked if size else a(pick(rng, ["little ", "kind ", "young ", "brave ", ""]) + creature)
        if coin(rng, 0.12):
            again = new_name()
            asked = asked + f" named {again}"
            first = asked
    key = "story " + key_of(again + thing)
    thing_phrase = a(noun_phrase)
    draw = rng.random()
    if draw < 0.72:
        link = pick(rng, ["and", "and", "and", "and", "with", "who has"]) if not friend else "and"
        x = f"{asked} {link} {thing_phrase}"
        if kind >= 0.3 and not friend and coin(rng, 0.08):
            x = f"the {again[4:]} and the {thing}" if again.startswith("the ") else x
    elif draw < 0.82:
        x = asked
    elif draw < 0.88 and not friend:
        x = thing_phrase
    else:
        x = ""
    request = pick(rng, REQUESTS).format(x=x) if x else pick(rng, OPEN_REQUESTS)
    question = request.startswith(("can", "do ", "could"))
    text = noise(rng, request, ["?", "?", ""] if question else [".", "", "", "!", " please.", ", please"], 0.0)
    if coin(rng, 0.15):
        text = text.replace(text[0], text[0].lower(), 1)
    return [Turn("story", text, tale(rng, first, again, thing_phrase, thing, friend), key)]
