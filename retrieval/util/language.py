"""Detect the language of a text by its script, then by its small words.

The result is for filters, and for texts of a paragraph or more. A text in no known language gives "" instead of a
guess.
"""

from __future__ import annotations

import re
from collections import Counter

MIN_CHARACTERS = 80
SAMPLE_CHARACTERS = 6_000
MIN_SHARE = 0.08  # of the words that are small words of the language
MIN_DIFFERENT_WORDS = 3  # different small words
MAX_WORD_SHARE = 0.07  # of the words; a more frequent small word counts no more than this
MIN_LEAD = 1.15  # count of the language for one of the next language
WORD = re.compile(r"[^\W\d_]+")

# Scripts of one language, or mostly of one. Kana tell Japanese from Chinese.
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ka", re.compile("[\u10a0-\u10ff]")),
    ("hy", re.compile("[\u0530-\u058f]")),
)
SCRIPT_SHARES = {"ja": 0.08, "zh": 0.25}  # of the letters; for the others it is half

SMALL_WORDS = {
    "en": "the of and to in is that for it as was with be by on not he this are or from at which have an they you",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er",
    "fr": "le de la et les des en un une du est que dans qui par pour au il sur pas plus ne se avec ce sont sa",
    "es": "el de la que y en los del se las por un para con una su al lo como más pero sus le es ha o este",
    "it": "il di che la e un per una in è con del non si da della sono dei al le alla gli nel anche più come ma",
    "pt": "o de a que e do da em um para com uma os no se na por mais as dos como mas ao ele das à seu não",
    "nl": "de het een van en in is dat op te zijn met voor niet aan er om ook als dan maar bij door uit wordt naar",
    "sv": "och att det i en som på är av för med den till inte om har de ett han men var jag från vi så kan",
    "da": "og at det i en som på er af for med den til ikke de har et han men var jeg fra vi så kan der blev",
    "no": "og å det i en som på er av for med den til ikke de har et han men var jeg fra vi så kan ble etter",
    "fi": "ja on ei se että hän oli joka mutta ovat kun niin myös sen tai jos olla ole vain sekä kuin mukaan",
    "pl": "i w na z się nie do jest to że o jak po co ale od za przez tym są dla jego był oraz które który",
    "cs": "a se v na je že s z do o to i ve pro jako jsou by ale po za byl které který od jeho tak nebo",
    "hu": "a az és hogy nem is egy ez meg van de volt csak már mint el ha ki még kell vagy amely után",
    "ro": "și de în a la cu pe nu că o un din este care mai pentru ca sau prin au fost ale dintre sunt",
    "tr": "ve bir bu da de için ile olarak çok daha olan gibi ne var kadar sonra en ama veya olduğu değil",
    "id": "yang dan di dengan untuk dari pada ini dalam tidak itu adalah akan ke oleh atau juga sebagai karena",
    "vi": "và của là các trong có được cho một những không với người này đã khi để từ đến như về",
    "ru": "и в не на что с по как это а к но из у за от о так же для он его было были или при все",
    "uk": "і в не на що з по як це а до але із у за від про так для він його було були або при є та",
    "bg": "и на в за да се от с не са като по е че до при но или това има беше във със който бъде",
    "ar": "في من على أن إلى التي عن مع هذا هذه كان ما لا أو الذي كل بين ذلك بعد قد كما لم هو",
    "fa": "و در به از که این است را با برای آن یک خود تا بر هم شد می های بود شده اما نیز",
}


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of the language of `text`; "" if the evidence is weak."""
    sample = text[len(text) // 4 :][:SAMPLE_CHARACTERS]  # the beginning is often a header or a list of names
    letters = sum(map(str.isalpha, sample))
    if len(text) < MIN_CHARACTERS or letters < 0.4 * len(sample):
        return ""
    for language, script in SCRIPTS:
        if len(script.findall(sample)) > SCRIPT_SHARES.get(language, 0.5) * letters:
            return language
    return _by_small_words(sample)


def _by_small_words(sample: str) -> str:
    words = Counter(WORD.findall(sample.lower()))
    total = words.total()
    cap = max(2, int(MAX_WORD_SHARE * total))  # a single word, such as "ca" in addresses, is no evidence
    counts = {name: sum(min(words[word], cap) for word in small.split()) for name, small in SMALL_WORDS.items()}
    (best, best_count), (_, second_count) = Counter(counts).most_common(2)
    several = sum(word in words for word in SMALL_WORDS[best].split()) >= MIN_DIFFERENT_WORDS
    return best if several and best_count >= max(3, MIN_SHARE * total) and best_count >= MIN_LEAD * second_count else ""
