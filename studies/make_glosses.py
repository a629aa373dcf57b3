"""Make the rows of `glosses` from WordNet's nouns: the same bytes every time.

    python -m studies.make_glosses        # two seconds

It reads `data.noun` of Debian's package wordnet-base, from /usr/share/wordnet or from where $WNSEARCHDIR says:

    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb build/wordnet
    WNSEARCHDIR=build/wordnet/usr/share/wordnet python -m studies.make_glosses

Stored in data/glosses/: the rows of each split, which synset each row is (`synsets.csv`), and WordNet's license.
"""

import random
import re
from collections.abc import Iterable

from labkit.tasks.glosses import CATEGORIES
from labkit.tasks.make_data import as_jsonl
from studies.near_duplicates import Seen, words_of
from studies.sources import as_csv, write_task
from studies.wordnet import Synset, nouns

SEED = 2026
SIZES = {"train": 56, "validation": 8, "test": 14}  # of each category
WORDS = range(5, 26)  # in a definition: with fewer you can't tell, and more are short articles
# WordNet has two more files of nouns: "motive" with 42 synsets, too few, and "Tops" with the 51 most general ones
PLAIN = re.compile(r"[A-Za-z0-9 ,.;:'()/%-]+")  # no quotes half open, no formulas
# Slurs, cruelty, drugs, sex, and groups of people as others once described them: each category has enough without
UNFIT = re.compile(
    r"\b(offensive|slur|obscen|vulgar|derogat|disparag|insult|rac(ist|ism|ial)|ethnic|jew(s|ish)?\b|nazi|slave"
    r"|(hetero|homo|bi)?sex|penis|vagin|vulva|genital|testi[cs]|buttock|copulat|coitus|prostitut|harlot|brothel|erotic"
    r"|porn|rap(e|ist)\b|incest|excre|f[ae]ec|urin|tortur|suicid|murder|execution|massacre|genocid|kill(ed|ing)|inflict"
    r"|whip\b|klan|jihad|abort|drug|narcotic)",
    re.IGNORECASE,
)


def names_of(category: str) -> set[str]:
    """A category's name, singular and plural."""
    return {category, f"{category}s", f"{category}es", f"{category.removesuffix('y')}ies"}


def names_itself(synset: Synset) -> bool:
    """Whether the definition has the name of its own category in it.

    Such a row asks to copy a word, and a rule that does just that would get one in seven right.
    """
    return not names_of(synset.category).isdisjoint(words_of(synset.definition))


def fit(synset: Synset) -> bool:
    """Whether a row can be made of it.

    What has a name of its own stays out, for two reasons: WordNet's biographies are of real people, and that something
    is a town, or a genus of a Latin family, is no question.
    """
    text = synset.definition
    return (
        synset.category in CATEGORIES
        and not synset.instance
        and synset.word == synset.word.lower()
        and len(words_of(text)) in WORDS
        and PLAIN.fullmatch(text) is not None
        and not text.startswith("of ")  # the rest of a sentence that began with the word itself
        and text.count("(") == text.count(")")
        and not UNFIT.search(text)
        and not UNFIT.search(synset.word)
        and not names_itself(synset)
    )


def chosen(synsets: Iterable[Synset]) -> dict[str, list[Synset]]:
    """Of each category as many synsets as the splits need, no two of any category nearly the same."""
    pools = {name: [] for name in CATEGORIES}
    for synset in filter(fit, synsets):
        pools[synset.category].append(synset)
    seen, kept = Seen(), {}
    for name, pool in pools.items():
        random.Random(f"{SEED} {name}").shuffle(pool)
        kept[name] = []
        for synset in pool:
            if len(kept[name]) < sum(SIZES.values()) and not seen.like(synset.definition):
                seen.add(synset.definition)
                kept[name].append(synset)
    return kept


def splits(synsets: Iterable[Synset]) -> dict[str, list[Synset]]:
    """The synsets of each split, in the order of its rows.

    In every 24 rows from the top, each category comes once, so that the first 24, 48 or 96 are balanced as well.
    """
    kept, draw, start, cut = chosen(synsets), random.Random(SEED), 0, {}
    for split, size in SIZES.items():
        cut[split] = []
        for place in range(start, start + size):
            cut[split] += draw.sample([pool[place] for pool in kept.values()], len(kept))
        start += size
    return cut


def files() -> dict[str, str]:
    """What's in each file of the task, but for its card.

    Raises:
        DataError: WordNet's file isn't there, or is another one.
    """
    synsets, notice = nouns()
    cut = splits(synsets)
    table = ((split, s.category, s.number, s.word) for split, held in cut.items() for s in held)
    rows = {
        f"{split}.jsonl": as_jsonl([{"prompt": s.definition, "completion": s.category} for s in held])
        for split, held in cut.items()
    }
    return {**rows, "synsets.csv": as_csv(("split", "category", "synset", "word"), table), "LICENSE": notice}


if __name__ == "__main__":
    write_task("glosses", files())
