"""The world that the demo model knows: tables of facts and words, nothing else."""

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
SEASONS = ["winter", "winter", "spring", "spring", "spring", "summer", "summer", "summer",
           "autumn", "autumn", "autumn", "winter"]
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
           "sixteen seventeen eighteen nineteen twenty").split()

OPPOSITES = [tuple(p.split("-")) for p in (
    "hot-cold big-small up-down happy-sad fast-slow old-young light-dark open-closed full-empty high-low long-short "
    "hard-soft wet-dry loud-quiet strong-weak rich-poor clean-dirty early-late near-far good-bad left-right in-out "
    "day-night black-white thick-thin heavy-light new-old true-false deep-shallow wide-narrow sweet-sour begin-end "
    "win-lose buy-sell push-pull come-go give-take laugh-cry love-hate always-never inside-outside above-below "
    "awake-asleep brave-afraid cheap-expensive easy-difficult first-last kind-mean smooth-rough sharp-blunt "
    "summer-winter tall-short warm-cool yes-no start-stop ask-answer remember-forget find-lose friend-enemy "
    "beautiful-ugly safe-dangerous same-different noisy-quiet north-south east-west before-after arrive-leave").split()]

# name: sound, legs, young, home, food
ANIMALS = {
    "cat": ("meow", 4, "kitten", "in a house", "fish and meat"),
    "dog": ("woof", 4, "puppy", "in a house", "meat and bones"),
    "cow": ("moo", 4, "calf", "on a farm", "grass"),
    "horse": ("neigh", 4, "foal", "in a stable", "hay and oats"),
    "sheep": ("baa", 4, "lamb", "in a meadow", "grass"),
    "goat": ("bleat", 4, "kid", "on a farm", "leaves and grass"),
    "pig": ("oink", 4, "piglet", "on a farm", "corn and roots"),
    "duck": ("quack", 2, "duckling", "on a pond", "water plants"),
    "hen": ("cluck", 2, "chick", "on a farm", "grain"),
    "goose": ("honk", 2, "gosling", "on a pond", "grass"),
    "lion": ("roar", 4, "cub", "in the savanna", "meat"),
    "bear": ("growl", 4, "cub", "in the forest", "honey and fish"),
    "wolf": ("howl", 4, "pup", "in the forest", "meat"),
    "fox": ("bark", 4, "kit", "in the forest", "mice and berries"),
    "frog": ("croak", 4, "tadpole", "in a pond", "flies"),
    "mouse": ("squeak", 4, "pup", "in a hole", "seeds and cheese"),
    "owl": ("hoot", 2, "owlet", "in the forest", "mice"),
    "bee": ("buzz", 6, "larva", "in a hive", "nectar"),
    "snake": ("hiss", 0, "snakelet", "in the grass", "mice and eggs"),
    "elephant": ("trumpet", 4, "calf", "in the savanna", "leaves and fruit"),
    "monkey": ("chatter", 4, "infant", "in the jungle", "fruit"),
    "bird": ("tweet", 2, "chick", "in a nest", "seeds and worms"),
    "donkey": ("hee-haw", 4, "foal", "in a stable", "hay"),
    "rooster": ("cock-a-doodle-doo", 2, "chick", "on a farm", "grain"),
    "tiger": ("roar", 4, "cub", "in the jungle", "meat"),
    "crow": ("caw", 2, "chick", "in the forest", "seeds and worms"),
    # no sound that people write down
    "rabbit": (None, 4, "kit", "in a burrow", "carrots and grass"),
    "spider": (None, 8, "spiderling", "in a web", "flies"),
    "ant": (None, 6, "larva", "in a nest", "seeds and sugar"),
    "butterfly": (None, 6, "caterpillar", "in a meadow", "nectar"),
    "fish": (None, 0, "fry", "in the water", "water plants"),
    "whale": (None, 0, "calf", "in the sea", "krill"),
    "penguin": (None, 2, "chick", "on the ice", "fish"),
    "camel": (None, 4, "calf", "in the desert", "dry grass"),
    "giraffe": (None, 4, "calf", "in the savanna", "leaves"),
    "kangaroo": (None, 2, "joey", "in Australia", "grass"),
    "octopus": (None, 8, "larva", "in the sea", "crabs"),
    "squirrel": (None, 4, "kit", "in a tree", "nuts"),
    "hedgehog": (None, 4, "hoglet", "in the garden", "insects"),
    "deer": (None, 4, "fawn", "in the forest", "leaves and grass"),
    "crab": (None, 10, "larva", "on the beach", "algae"),
    "swan": (None, 2, "cygnet", "on a lake", "water plants"),
}
PLURALS = {"mouse": "mice", "goose": "geese", "sheep": "sheep", "fish": "fish", "wolf": "wolves", "deer": "deer",
           "butterfly": "butterflies", "fox": "foxes", "octopus": "octopuses", "ostrich": "ostriches", "fly": "flies",
           "pony": "ponies"}

CAPITALS = dict(p.split(":") for p in (
    "France:Paris,Germany:Berlin,Italy:Rome,Spain:Madrid,Portugal:Lisbon,England:London,Ireland:Dublin,Austria:Vienna,"
    "Belgium:Brussels,the Netherlands:Amsterdam,Denmark:Copenhagen,Norway:Oslo,Sweden:Stockholm,Finland:Helsinki,"
    "Poland:Warsaw,Greece:Athens,Turkey:Ankara,Russia:Moscow,Ukraine:Kyiv,Hungary:Budapest,Romania:Bucharest,"
    "Bulgaria:Sofia,Croatia:Zagreb,Switzerland:Bern,Iceland:Reykjavik,Egypt:Cairo,Kenya:Nairobi,Morocco:Rabat,"
    "Ghana:Accra,India:New Delhi,China:Beijing,Japan:Tokyo,South Korea:Seoul,Thailand:Bangkok,Vietnam:Hanoi,"
    "Indonesia:Jakarta,Australia:Canberra,New Zealand:Wellington,Canada:Ottawa,the United States:Washington,"
    "Mexico:Mexico City,Cuba:Havana,Brazil:Brasilia,Argentina:Buenos Aires,Chile:Santiago,Peru:Lima,Colombia:Bogota,"
    "Scotland:Edinburgh,Wales:Cardiff,the Czech Republic:Prague").split(","))

COLOURS = "red blue green yellow orange purple pink brown black white grey gold".split()
COLOUR_OF = dict(p.split(":") for p in (
    "a banana:yellow,the sky:blue,grass:green,snow:white,coal:black,a tomato:red,a carrot:orange,blood:red,milk:white,"
    "a lemon:yellow,a strawberry:red,chocolate:brown,the sea:blue,a leaf:green,an elephant:grey,a flamingo:pink,"
    "the sun:yellow,the night:black,an orange:orange,a pumpkin:orange,a frog:green,a plum:purple,a raven:black,"
    "a cucumber:green,sand:yellow,a bear:brown,a cherry:red,a swan:white,a pig:pink,honey:gold,a cloud:white,"
    "lavender:purple,wood:brown,a lime:green,a fire engine:red,a mouse:grey,an eggplant:purple,a fox:orange,"
    "a polar bear:white,butter:yellow,paper:white,a pea:green").split(","))
MIXES = {("red", "yellow"): "orange", ("blue", "yellow"): "green", ("red", "blue"): "purple", ("red", "white"): "pink",
         ("black", "white"): "grey", ("red", "green"): "brown"}

NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olivia Paul Rosa Sam Tom Victor Wendy Zoe "
    "Alice Bob Carol Daniel Ella Frank Gina Hugo Irene John Karl Lena Max Nina Oscar Peter Ruth Simon Tina Uma Vera "
    "Will Adam Amy Anton Ava Bella Bruno Carla Chris Dora Elias Eva Fiona Fred George Greta Hanna Helen Ivan Jane "
    "Jonas "
    "Julia Kim Laura Lily Liam Lisa Lucas Lucy Maria Mark Martin Maya Michael Molly Nora Omar Oliver Pia Rita Robert "
    "Sara Sofia Stefan Susan Theo Toby Yara Yusuf Priya Arjun Chen Mei Kenji Yuki Fatima Ali Amina Kofi Diego Carmen "
    "Pedro Ines Luca Giulia Pierre Chloe Ingrid Lars Olga Dmitri Alex Robin Sasha Jamie Ahmed Leila Ravi Anita Jose "
    "James Mary William Linda Thomas Sarah Emily Jacob Sophie Marie Hannah Nick Tim Joe Dan Eric Steve Mike Matt "
    "Andrew "
    "Claire Kevin Brian Rachel Rebecca Laila Ibrahim Hassan Elena Marta Jana Milan Petra Viktor Nadia Tara Finn Ruby").split()
SYLLABLES = ("ba be bi bo da de di do fa fe fi ga go ha he jo ka ke ki ko la le li lo lu ma me mi mo na ne ni no pa pe "
             "ra re ri ro sa se si so ta te ti to va ve vi wa yo za zi zo el an or in").split()
ENDINGS = " n r s l x th ra na la ria lo nn ck".split(" ")
PETS = "dog cat horse rabbit parrot hamster pony goldfish".split()
RELATIVES = "brother sister friend mother father son daughter teacher cousin aunt uncle".split()

THINGS = (
    "hat ball kite book key drum lamp boat bell cake map ring coat shoe box flower apple star stone bike train "
    "umbrella "
    "violin basket balloon blanket candle crown clock cup feather flute guitar ladder lantern mirror painting pencil "
    "pillow puzzle robot rocket rope scarf shell spoon sword tent toy trumpet wagon watch whistle acorn button cookie "
    "camera letter mushroom pearl pumpkin sandwich carrot egg glove marble pebble magnet banana bag chair jar sock "
    "necklace telescope teapot broom bucket bottle compass").split()
ADJECTIVES = "red blue green yellow old new little big shiny golden wooden soft round beautiful".split()
CREATURES = (
    "cat dog fox bear rabbit mouse owl frog duck hen lion wolf squirrel hedgehog horse sheep goat pig elephant monkey "
    "penguin turtle dragon robot ghost giant bird fish bee crab snake tiger donkey dinosaur unicorn wizard witch "
    "pirate "
    "king queen prince princess knight farmer baker sailor girl boy child astronaut teacher fairy elf gardener doctor "
    "fisherman painter cow deer camel swan whale snail ant spider butterfly goose").split()
PLACES = "forest garden meadow village castle harbour valley town park".split()
HELPERS = "owl fox mouse bear rabbit hedgehog squirrel frog duck goat horse bird".split()

# what the model has no facts about
NOUNS = ("planet engine football president war river computer phone novel atom democracy recipe virus software airport "
         "tax law economy "
         "pizza guitar doctor lawyer internet website password rocket galaxy volcano ocean bridge church museum "
         "painter poem opera film actor "
         "singer team league medal record battle empire treaty market stock bank loan insurance contract database "
         "compiler function variable "
         "theorem equation molecule protein cell gene vaccine muscle bone diet workout marathon camera battery laptop "
         "printer keyboard "
         "screen network server cloud algorithm philosophy religion psychology history chemistry physics biology "
         "geography grammar verb "
         "universe moon mountain desert gravity electricity magnet diamond oil gas steel glass paper cotton tea wine "
         "beer").split()

TOPICS = ["food", "health", "money", "music", "school", "sport", "travel", "weather"]

FALLBACK = "I am a small model and do not know that. Ask me for a sum, a capital, an animal or a story."
ABILITIES = ("I can chat, add and subtract up to 20, tell you about days, months, colours, opposites, animals and "
             "capitals, tell a story, summarise a dialogue and name the topic of a sentence.")
IDENTITY = "I am Pumice, a small language model."
