"""Two tasks on a given text: summarise a short dialogue in one sentence, name the topic of a sentence."""
from __future__ import annotations

import random
from typing import Callable

from split import held_out_name
from text import Turn, coin, key_of, noise, pick, upper_first
from world import DAYS, TOPICS

# ---- dialogues ------------------------------------------------------------------------------------------------------

ACTIVITIES = ("play football,play tennis,play chess,go swimming,go to the cinema,have a picnic,go for a walk,bake a "
              "cake,study maths,"
              "watch a film,ride bikes,go dancing,cook dinner,visit the museum,go fishing,play cards,go to the market,"
              "drink coffee,"
              "go hiking,have lunch,see a concert,plant flowers,paint the wall,clean the garage,go skating,practise "
              "the song,eat pizza,"
              "go to the zoo,fly a kite,play the guitar").split(",")
WHEN = [f"on {d}" for d in DAYS] + ["tomorrow", "tonight", "this afternoon", "next week", "this evening", "at noon",
                                    "this weekend"]
REASONS = ("I have to work,I am ill,I have an exam,my mother is visiting,I am too tired,my car is broken,I have no "
           "money,I must study,"
           "I have a headache,my bike is broken,I am on holiday,I have a meeting,my train is late,I hurt my leg").split(",")
OBJECTS = ("bike,tent,umbrella,book,pen,camera,ladder,phone,guitar,car,coat,map,lamp,drill,suitcase,calculator,"
           "football,hammer,sleeping bag,"
           "charger,laptop,dictionary,boat,blanket,racket,helmet,violin,cake tin").split(",")
LOST = ("keys,phone,wallet,glasses,bag,hat,scarf,ring,book,passport,gloves,ticket,watch,notebook,umbrella,"
        "jacket").split(",")
SPOTS = ("on the table,under the bed,in the kitchen,in the car,on the sofa,behind the door,in the garden,at school,in "
         "the drawer,under the chair,"
         "at the office,on the shelf,in the bathroom,next to the window,on the bus").split(",")
GIFTS = ("a book,a scarf,flowers,a cake,a watch,a game,a kite,a ring,a puzzle,chocolate,a plant,a mug,"
         "a necklace,a lamp,a camera").split(",")
PEOPLE = "mother,father,sister,brother,teacher,friend,grandmother,grandfather,boss,neighbour,aunt,uncle".split(",")
FOODS = ("pizza,soup,pasta,salad,rice,fish,pancakes,a sandwich,noodles,an omelette,curry,a burger,potatoes,"
         "ice cream").split(",")
HELP_WITH = ("the homework,the garden,the move,the dishes,the computer,the cooking,the car,the shopping,the report,the "
             "party,the speech,the packing,"
             "the maths exercise,the letter").split(",")
CITIES = ("Paris,Rome,London,Berlin,Madrid,Vienna,Oslo,Lisbon,Athens,Dublin,Prague,Cairo,Tokyo,Lima,the sea,"
          "the mountains,the lake").split(",")
VEHICLES = "train,bus,car,plane,boat,bike".split(",")

YES = ["Yes, I would love to!", "Sure, good idea.", "Yes, that sounds great.", "Of course!", "Good idea, I will come.",
       "I would like that."]
BYE = ["Great, see you then!", "Perfect, see you!", "See you soon!", "Good, I will be there.", "Fine, until then."]
HI = ["", "", "", "Hi {b}! ", "Hello {b}, how are you? ", "Hey {b}! "]
THANKS = ["Thank you!", "Thanks a lot.", "That is kind of you.", "Great, thank you."]


def meet(rng: random.Random) -> tuple[list[str], str, str]:
    act, when = pick(rng, ACTIVITIES), pick(rng, WHEN)
    lines = [pick(rng, [f"Do you want to {act} {when}?", f"Shall we {act} {when}?",
                        f"Would you like to {act} with me {when}?"]),
             pick(rng, YES), pick(rng, BYE)]
    return lines, f"{{a}} and {{b}} will {act} {when}.", act + when


def meet_later(rng: random.Random) -> tuple[list[str], str, str]:
    act, day, other = pick(rng, ACTIVITIES), *rng.sample(DAYS, 2)
    lines = [pick(rng, [f"Do you want to {act} on {day}?", f"Shall we {act} on {day}?"]),
             pick(rng, [f"I cannot on {day}. How about {other}?", f"{day} is bad for me, but {other} is fine.",
                        f"Not on {day}. Can we do it on {other}?"]),
             pick(rng, [f"Fine, {other} then.", f"{other} is good for me.", f"OK, see you on {other}!"])]
    return lines, f"{{a}} and {{b}} will {act} on {other}.", act + day + other


def decline(rng: random.Random) -> tuple[list[str], str, str]:
    act, when, reason = pick(rng, ACTIVITIES), pick(rng, WHEN), pick(rng, REASONS)
    lines = [pick(rng, [f"Do you want to {act} {when}?", f"Shall we {act} {when}?", f"Will you {act} with me {when}?"]),
             pick(rng, [f"I am sorry, {reason}.", f"Sorry, I cannot, {reason}.", f"No, sorry. {upper_first(reason)}."]),
             pick(rng, ["What a pity. Maybe next time.", "Oh, that is sad. Another time then.",
                        "No problem, maybe later."])]
    return lines, f"{{b}} cannot {act} with {{a}} {when}.", act + when + reason


def borrow(rng: random.Random) -> tuple[list[str], str, str]:
    thing, when = pick(rng, OBJECTS), pick(rng, WHEN)
    lines = [pick(rng, [f"Can I borrow your {thing}?", f"May I borrow your {thing}?",
                        f"Could you lend me your {thing}?"]),
             pick(rng, [f"Yes, but please bring it back {when}.", f"Sure, but I need it back {when}.",
                        f"Of course. Bring it back {when}, please."]),
             pick(rng, THANKS + ["I will, thank you!"])]
    return lines, f"{{a}} borrows {{b}}'s {thing} and brings it back {when}.", thing + when


def lost(rng: random.Random) -> tuple[list[str], str, str]:
    thing, spot = pick(rng, LOST), pick(rng, SPOTS)
    they, are = ("they", "are") if thing.endswith("s") and thing != "glass" else ("it", "is")
    lines = [pick(rng, [f"I cannot find my {thing}.", f"I lost my {thing}.", f"Have you seen my {thing}?",
                        f"Where {are} my {thing}? I looked everywhere."]),
             pick(rng, [f"{upper_first(they)} {are} {spot}.", f"I saw your {thing} {spot}.",
                        f"Look {spot}, I think {they} {are} there.", f"Your {thing} {are} {spot}."]),
             pick(rng, [*THANKS, f"Yes, here {they} {are}! Thanks."])]
    return lines, f"{{b}} tells {{a}} that the {thing} {are} {spot}.", thing + spot


def gift(rng: random.Random) -> tuple[list[str], str, str]:
    who, what = pick(rng, PEOPLE), pick(rng, GIFTS)
    lines = [pick(rng, [f"What should I give my {who} for the birthday?",
                        f"My {who} has a birthday soon. What can I buy?", f"I need a present for my {who}. Any idea?"]),
             pick(rng, [f"How about {what}?", f"Maybe {what}?", f"What about {what}?",
                        f"I think {what} would be nice."]),
             pick(rng, ["Good idea, I will buy that.", "That is a great idea!", "Yes, I will do that. Thanks!"])]
    return lines, f"{{a}} will give {what} to the {who}.", who + what


def dinner(rng: random.Random) -> tuple[list[str], str, str]:
    food, other = rng.sample(FOODS, 2)
    if coin(rng, 0.5):
        lines = [pick(rng, ["What do you want to eat tonight?", "What shall we have for dinner?",
                            "I am hungry. What shall we eat?"]),
                 pick(rng, [f"I would like {food}.", f"Let's have {food}.", f"How about {food}?"]),
                 pick(rng, ["Good, I will cook it.", "Fine, I like that too.", "Great, let's do that."])]
    else:
        lines = [pick(rng, [f"Shall we eat {other} tonight?", f"Do you want {other} for dinner?",
                            f"Let's have {other} for dinner."]),
                 pick(rng, [f"I would rather have {food}.", f"Not again. I want {food}.", f"No, let's have {food}."]),
                 pick(rng, [f"OK, {food} then.", f"Fine, we will have {food}.", f"All right, {food} is good too."])]
    return lines, f"{{a}} and {{b}} will have {food} for dinner.", food + other + key_of(lines[0])


def assist(rng: random.Random) -> tuple[list[str], str, str]:
    what, when = pick(rng, HELP_WITH), pick(rng, WHEN)
    lines = [pick(rng, [f"Can you help me with {what}?", f"I need help with {what}. Do you have time?",
                        f"Could you help me with {what}, please?"]),
             pick(rng, [f"Yes, I can come {when}.", f"Sure, I have time {when}.",
                        f"Of course, I will help you {when}."]),
             pick(rng, THANKS)]
    return lines, f"{{b}} will help {{a}} with {what} {when}.", what + when


def trip(rng: random.Random) -> tuple[list[str], str, str]:
    city, by, when = pick(rng, CITIES), pick(rng, VEHICLES), pick(rng, WHEN)
    lines = [pick(rng, [f"I am going to {city} {when}.", f"I will travel to {city} {when}.",
                        f"Guess what, I am off to {city} {when}!"]),
             pick(rng, ["How nice! How do you get there?", "Great! How will you travel?", "Lucky you! Will you fly?"]),
             pick(rng, [f"I will go by {by}.", f"By {by}.", f"I am taking the {by}."])]
    return lines, f"{{a}} will go to {city} by {by} {when}.", city + by + when


def ill(rng: random.Random) -> tuple[list[str], str, str]:
    what = pick(rng, ["a cold", "a fever", "a headache", "a sore throat", "a bad cough", "a toothache", "a broken arm",
                      "stomach pain"])
    advice = pick(rng, ["see a doctor", "stay in bed", "drink hot tea", "rest", "take medicine", "sleep more",
                        "eat some soup", "call the doctor"])
    lines = [pick(rng, [f"I feel bad. I have {what}.", f"I have {what}.", f"I cannot come to work, I have {what}."]),
             pick(rng, [f"Oh no! You should {advice}.", f"I am sorry. Please {advice}.", f"Then you should {advice}."]),
             pick(rng, ["You are right, I will.", "Yes, I will do that.", "Good idea. Thanks."])]
    return lines, f"{{a}} has {what} and will {advice}.", what + advice


def late(rng: random.Random) -> tuple[list[str], str, str]:
    cause = pick(rng, "the rain,the snow,the traffic,a meeting,the bus,a flat tyre,the doctor,an accident,the fog,a "
                      "phone call".split(","))
    minutes = pick(rng, ["ten minutes", "five minutes", "an hour", "half an hour", "twenty minutes", "two hours"])
    lines = [pick(rng, ["Where are you?", "Are you on your way?", "When will you be here?", "Are you coming?"]),
             pick(rng, [f"I will be {minutes} late because of {cause}.",
                        f"Sorry, I am {minutes} late because of {cause}.",
                        f"Because of {cause} I will be {minutes} late."]),
             pick(rng, ["OK, I will wait.", "No problem, I will wait for you.", "Fine, see you soon."])]
    return lines, f"{{b}} will be {minutes} late because of {cause}.", cause + minutes


def sale(rng: random.Random) -> tuple[list[str], str, str]:
    thing = pick(rng, OBJECTS)
    amount = pick(rng, "ten,twelve,fifteen,twenty,thirty,forty,fifty,sixty,eighty,a hundred".split(","))
    price = amount + " " + pick(rng, ["euros", "dollars", "pounds"])
    lines = [pick(rng, [f"How much is the {thing}?", f"I like your {thing}. What does it cost?",
                        f"Do you still sell the {thing}?"]),
             pick(rng, [f"It costs {price}.", f"You can have it for {price}.", f"Yes, I want {price} for it.",
                        f"The {thing} is {price}."]),
             pick(rng, ["Good, I will take it.", "Fine, I will buy it.", "That is a good price. I will take it."])]
    return lines, f"{{a}} buys the {thing} from {{b}} for {price}.", thing + price


def exam(rng: random.Random) -> tuple[list[str], str, str]:
    what = pick(rng, "maths exam,English test,driving test,history exam,piano exam,job interview,swimming test,cooking "
                     "contest,chess game,biology test".split(","))
    good = coin(rng, 0.5)
    answers, replies = (
        (["It went very well!", "Very good, I am happy.", "It was great!"],
         ["I am happy for you!", "Well done!", "Great news!"]) if good else
        (["It went badly.", "Not good, I am sad.", "It was terrible."],
         ["Oh no, I am sorry.", "I am sorry. Next time it will be better.", "What a pity."]))
    lines = [pick(rng, [f"How was your {what}?", f"How did the {what} go?", f"Tell me, how was the {what}?"]),
             pick(rng, answers), pick(rng, replies)]
    return lines, f"{{b}}'s {what} went {'well' if good else 'badly'}.", what + key_of(lines[1])


def way(rng: random.Random) -> tuple[list[str], str, str]:
    goal = pick(rng, "station,museum,bank,post office,hospital,school,hotel,church,market,library,airport,beach,cinema,"
                     "bakery".split(","))
    where = pick(rng, "next to the park,behind the school gate,across the river,near the bridge,opposite the town hall,"
                      "on the left,on the right,at the end of the street,"
                      "next to the fountain,behind the old tower".split(","))
    lines = [pick(rng, [f"Where is the {goal}?", f"How do I get to the {goal}?", f"Do you know where the {goal} is?",
                        f"I am looking for the {goal}."]),
             pick(rng, [f"It is {where}.", f"The {goal} is {where}.", f"You will find it {where}."]), pick(rng, THANKS)]
    return lines, f"{{b}} tells {{a}} that the {goal} is {where}.", goal + where


DIALOGUES = [meet, meet, meet_later, decline, borrow, lost, gift, dinner, assist, trip, ill, late, sale, exam, way]
SUMMARY_REQUESTS = ["summarise this dialogue", "summarize this dialogue", "summarise the dialogue in one sentence",
                    "summarize the conversation",
                    "give me a one-sentence summary", "sum up this chat in one sentence", "summarise", "summarize",
                    "summary please",
                    "what is this dialogue about", "please summarise this conversation",
                    "write a summary of this dialogue",
                    "summarize this conversation in one sentence", "summarise this", "summarize the following dialogue",
                    "sum this up",
                    "can you summarise this dialogue"]


def with_request(rng: random.Random, requests: list[str], content: str, after: float) -> str:
    """The request before the content, or, with chance `after`, behind it."""
    request = pick(rng, requests)
    question = request.startswith(("what", "which", "can"))
    gap = pick(rng, ["\n", " "])
    if coin(rng, after):
        return content + gap + noise(rng, request, ["?"] if question else ["", "."], 0.15)
    return noise(rng, request, ["?", ":"] if question else [":", ":", ".", " -", ""], 0.15) + gap + content


def summary_scene(rng: random.Random, new_name: Callable[[], str]) -> list[Turn]:
    """A dialogue of three or four lines between two people, summarised in one sentence."""
    a = new_name()
    b = new_name()
    while b == a:
        b = new_name()
    maker = pick(rng, DIALOGUES)
    lines, summary, content = maker(rng)
    lines[0] = pick(rng, HI).format(b=b) + lines[0]
    spoken = [f"{who}: {line}" for who, line in zip((a, b, a), lines)]
    if coin(rng, 0.3):
        spoken.append(f"{b}: " + pick(rng, ["Bye!", "You are welcome.", "See you.", "Take care!", "OK!"]))
    elif maker is not meet_later and maker is not trip and coin(rng, 0.15):
        spoken.pop()
    text = with_request(rng, SUMMARY_REQUESTS, pick(rng, ["\n", " ", " "]).join(spoken), 0.2)
    return [Turn("summary", text, summary.format(a=a, b=b), "summary " + maker.__name__ + key_of(content))]


# ---- topics ---------------------------------------------------------------------------------------------------------

WHO = ("my brother,the girl,our neighbour,my friend,the old man,Anna,Tom,she,he,the woman,my uncle,Maria,my father,"
       "Peter,my aunt,the boy,"
       "Lucy,my grandmother,David,her cousin").split(",")
WHO = [w for w in WHO if not held_out_name(w)]
SENTENCES: dict[str, list[str]] = {
    "food": ["{who} {eat} {dish} {meal}", "the {dish} {taste}", "for {mealname} we had {dish} and {dish}",
             "{who} baked {dish} for the guests",
             "{who} ordered {dish} in the restaurant", "the recipe needs {ingredient} and {ingredient}",
             "this {dish} needs more {ingredient}",
             "I am hungry and would like some {dish}", "the cook put {ingredient} into the {dish}",
             "I like {dish} with {ingredient}"],
    "health": ["{who} has {illness} and {cure}", "the doctor gave {person} {medicine}", "the nurse {nursed}",
               "{who} broke {bone} and went to the hospital",
               "{illness} kept {person} in bed", "{who} took {medicine} against {illness}",
               "the patient with {illness} {cure}",
               "sleep and clean water are good for the body", "{who} went to the {dentist} because of {illness}",
               "{who} feels sick and has {illness}"],
    "money": ["{who} saved {sum} in the bank", "the {price} of {goods} went {updown}",
              "{who} paid {sum} for the {goods}", "the bank {bank}",
              "{who} earned {sum} and spent it on {goods}", "{who} cannot pay the {bill}",
              "the shop sells {goods} for {sum}", "{who} borrowed {sum} from the bank",
              "{who} counted the coins in the {purse}", "the {bill} was higher than {sum}"],
    "music": ["{who} plays the {instrument} {band}", "the {singer} sang {song}",
              "{who} listened to {song} on the radio", "the orchestra played {song}",
              "the {instrument} sounds {sound}", "{who} practises the {instrument} every day",
              "the concert began with {song}", "the choir sang {song}",
              "{who} wrote {song} for the {instrument}", "the band has a new {instrument} player"],
    "school": ["the teacher {taught}", "{who} forgot the {homework}", "the pupils wrote a test in {subject}",
               "{who} learned {subject} for the exam",
               "the class read a text about {subject}", "{who} got a good mark in {subject}",
               "the lesson about {subject} was {lesson}", "the students {studied}",
               "{who} did the {homework} in the classroom", "the {subject} teacher gave us a lot of homework"],
    "sport": ["the team won the {match} {score}", "{who} scored {goal} in the {match}", "{who} trains for the {race}",
              "the {player} ran {ran}",
              "{who} plays {game} in the club", "the coach told the players to run faster", "the {match} ended {score}",
              "{who} won a medal in the {race}",
              "our team lost the {game} match", "the goalkeeper stopped the ball"],
    "travel": ["{who} took the {vehicle} to {place}", "the {vehicle} to {place} leaves {leave}",
               "{who} booked a hotel in {place}", "{who} packed the suitcase for the trip to {place}",
               "we visited {place} during the holiday", "the flight to {place} was {flight}",
               "{who} lost the passport at the airport", "the tourists took photos of {sight}",
               "the journey to {place} took {hours} hours", "{who} bought a ticket to {place}"],
    "weather": ["it will {rain} {when}", "the {storm} {stormed}", "{when2} it was {warm} and {sky}", "the sun {shone}",
                "the wind {blew}", "dark clouds {clouds}",
                "{rainnoun} fell on the {land} all night", "the forecast says {rainnoun} for {day}",
                "the temperature fell below zero", "it is {warm} and {sky} today",
                "thick fog lay over the {land}"],
}
SLOTS: dict[str, list[str]] = {k: v.split(",") for k, v in {
    "who": ",".join(WHO), "person": "him,her,the child,my brother,the old man,Anna,my aunt,the boy,Peter",
    "eat": "ate,cooked,made,likes,prepared,tasted,wants", "meal": "for breakfast,for lunch,for dinner,in the kitchen,"
                                                                  "at noon,with a fork",
    "mealname": "lunch,dinner,breakfast,supper", "taste": "tastes very good,was too salty,smells delicious,is still "
                                                          "hot,was sweet,burned in the oven,is ready to eat",
    "dish": "soup,pizza,pasta,rice,cake,bread,salad,fish,pancakes,potatoes,cheese,chicken,apple pie,stew,noodles,eggs,"
            "vegetables,chocolate,sandwiches,curry,fruit,cookies",
    "ingredient": "salt,sugar,butter,flour,pepper,garlic,milk,oil,honey,tomatoes,onions,cream,lemon,cinnamon",
    "illness": "a cold,a fever,a headache,the flu,a cough,a sore throat,back pain,an allergy,a toothache,stomach pain,"
               "an infection",
    "cure": "stays in bed,needs a doctor,must rest,takes pills,is in hospital,drinks hot tea,went to the doctor,feels "
            "better now,needs medicine",
    "medicine": "medicine,some pills,a pill,an injection,drops,a bandage,a vaccine",
    "bone": "an arm,a leg,a finger,a rib,a wrist",
    "nursed": "checked the blood pressure,cleaned the wound,looked after the patient,gave an injection,measured the "
              "fever", "dentist": "dentist,doctor,hospital,clinic,pharmacy",
    "sum": "ten euros,fifty dollars,a hundred pounds,a lot of money,five coins,a thousand euros,twenty dollars,half "
           "the salary,too much money",
    "price": "price,cost,value", "goods": "house,bread,shoes,oil,furniture,tickets,rent,gold,clothes,shares,car,phone",
    "updown": "up,down,up again,down again,up by ten percent",
    "bank": "raised the interest,lends money,opened a new account,gave a loan,closed the account,pays interest",
    "bill": "bill,rent,loan,tax,debt,invoice", "purse": "purse,wallet,piggy bank,cash box",
    "instrument": "piano,guitar,violin,drum,flute,trumpet,cello,harp,saxophone,organ",
    "band": "in a band,in the orchestra,on the stage,at the concert,very well,every evening",
    "singer": "singer,choir,band,star", "song": "a song,an old song,a happy tune,a melody,a symphony,a new album,a "
                                                "waltz,a lullaby,a love song,jazz",
                                                "sound": "beautiful,loud,out of tune,soft,sad",
    "taught": "explained the lesson,wrote on the blackboard,corrected the tests,asked the pupils a question,gave back "
              "the exams,gave us homework,praised the class",
    "homework": "homework,exercise,school bag,essay,exercise book", "subject": "maths,history,biology,English,"
                                                                               "geography,physics,chemistry,grammar,"
                                                                               "spelling,art",
    "lesson": "interesting,boring,long,difficult,easy", "studied": "studied for the exam,sat in the classroom,opened "
                                                                   "the books,listened to the teacher,passed the exam,"
                                                                   "raised their hands",
    "match": "match,game,final,cup,tournament", "score": "two to one,by three goals,in the last minute,without a goal,"
                                                         "after extra time,last night",
    "goal": "a goal,two goals,three points,the winning goal,a penalty", "race": "race,marathon,swimming race,long jump,"
                                                                                "championship,high jump,bike race",
    "player": "player,runner,athlete,champion,sprinter", "ran": "very fast,across the field,the last lap,a new record,"
                                                                "after the ball",
                                                                "game": "football,tennis,basketball,handball,hockey,"
                                                                        "volleyball,rugby,baseball,golf",
    "vehicle": "train,bus,plane,ship,ferry", "place": "Paris,Rome,Spain,Japan,the coast,the island,Egypt,London,the "
                                                      "mountains,Norway,the south,Brazil,the beach,Vienna",
    "leave": "at noon,in an hour,from platform two,early,at eight,every day",
    "flight": "late,long,short,full,cancelled,cheap", "sight": "the castle,the old bridge,the cathedral,the tower,the "
                                                               "harbour", "hours": "two,three,five,ten,six",
    "rain": "rain,snow,hail,be sunny,be cloudy,be cold,be windy,get warm,freeze,be stormy",
    "when": "tomorrow,tonight,in the evening,all day,next week,in the morning,on Sunday",
    "when2": "yesterday,this morning,last week,on Monday,in the night,last winter",
    "storm": "storm,thunderstorm,hurricane,blizzard,lightning", "stormed": "broke the old tree,came in the night,"
                                                                           "lasted for hours,was very strong,scared "
                                                                           "the dog,passed quickly",
    "warm": "warm,cold,hot,cool,freezing", "sky": "sunny,cloudy,foggy,rainy,windy,stormy,icy",
    "shone": "shines all day,came out after the rain,shone brightly,was hidden by clouds,is very hot today",
    "blew": "blew very hard,came from the north,was icy,shook the trees,got stronger",
    "clouds": "covered the sky,brought rain,came from the west,hide the sun",
    "rainnoun": "rain,snow,heavy rain,hail,a little snow,light rain",
    "land": "hills,fields,town,valley,roofs,street,mountains", "day": "Monday,tomorrow,Friday,the weekend,tonight,"
                                                                      "Sunday",
}.items()}
KEYWORDS = {topic: words.split(",") for topic, words in {
    "food": "soup,bread,cheese,kitchen,recipe,cook,restaurant,dinner,lunch,breakfast,pizza,apple pie,salad,menu,oven,"
            "sauce,meal,butter,fruit,dessert,spoon",
    "health": "doctor,hospital,nurse,medicine,fever,illness,pain,pill,patient,cold,flu,vaccine,dentist,wound,clinic,"
              "headache,cough,therapy,surgery,pharmacy",
    "money": "bank,price,coin,salary,loan,tax,bill,account,credit card,rent,debt,savings,wallet,cost,stock market,"
             "interest,budget,cash,discount,insurance",
    "music": "song,concert,guitar,piano,band,singer,orchestra,melody,violin,choir,drum,rhythm,album,opera,flute,tune,"
             "trumpet,radio song,composer,note",
    "school": "teacher,lesson,homework,exam,classroom,pupil,student,blackboard,school book,test,class,mark,school,"
              "essay,maths lesson,spelling,university,subject,pencil case",
    "sport": "football match,team,goal,race,tennis game,coach,player,medal,stadium,training,ball,champion,referee,"
             "marathon,swimming race,runner,tournament,score,cup,gym",
    "travel": "train,airport,hotel,ticket,suitcase,passport,flight,trip,journey,tourist,holiday,plane,ferry,station,"
              "map,guide,beach holiday,tour,luggage,border",
    "weather": "rain,snow,sun,wind,storm,cloud,fog,thunder,forecast,temperature,ice,heat,lightning,rainbow,sunshine,"
               "hail,frost,sky,shower,hurricane",
}.items()}
GENERAL = ["the {k} was good today", "we talked about the {k} and the {k}", "{who} thinks about the {k}",
           "the {k} is better than the {k}", "I remember the {k}",
           "there was a {k} and a {k}", "{who} told us about the {k}", "yesterday we had a {k}",
           "{who} does not like the {k}", "the new {k} is great", "the {k} was terrible",
           "what a wonderful {k}", "{who} was surprised by the {k}", "I hope the {k} will be good",
           "{who} and {who} waited for the {k}"]
TOPIC_REQUESTS = ["what is the topic of this sentence", "name the topic of this sentence", "name the topic",
                  "which topic is this", "what topic is this",
                  "topic", "what is the topic", "tell me the topic of this sentence", "what is this sentence about",
                  "give the topic of the sentence",
                  "which of the eight topics fits this sentence", "classify this sentence",
                  "find the topic of this sentence", "what is this about",
                  "what topic does this sentence have", "name the topic of the following sentence",
                  "classify the topic"]


def sentence(rng: random.Random, topic: str) -> str:
    """A sentence of the topic."""
    text = pick(rng, GENERAL if coin(rng, 0.25) else SENTENCES[topic])
    while "{k}" in text:
        text = text.replace("{k}", pick(rng, KEYWORDS[topic]), 1)
    while "{" in text:
        start, end = text.index("{"), text.index("}")
        text = text[:start] + pick(rng, SLOTS[text[start + 1:end]]) + text[end + 1:]
    return upper_first(text) + "."


def topic_scene(rng: random.Random) -> list[Turn]:
    """A sentence whose topic is one of eight."""
    topic = pick(rng, TOPICS)
    text = sentence(rng, topic)
    key = "topic " + key_of(text)
    if coin(rng, 0.15):
        text = text.lower()
    if coin(rng, 0.15):
        text = text[:-1]
    if coin(rng, 0.15):
        text = f'"{text}"'
    requests = TOPIC_REQUESTS
    if coin(rng, 0.15):
        names = TOPICS[:]
        rng.shuffle(names)
        requests = [f"which topic fits: {', '.join(names[:7])} or {names[7]}", f"name the topic ({', '.join(names)})"]
    return [Turn("topic", with_request(rng, requests, text, 0.15), f"The topic is {topic}.", key)]
