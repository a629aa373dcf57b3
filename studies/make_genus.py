"""Make the rows of `genus` from WordNet's nouns: the same bytes every time.

    python -m studies.make_genus        # a few seconds

It reads the same file as `studies.make_glosses`, whose first lines say how to get it.

Stored in data/genus/: the rows of each split, which synset each row is and of which kind (`synsets.csv`), and
WordNet's license.
"""

import csv
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.storage.paths import course_data_dir
from labkit.tasks.make_data import as_jsonl
from studies.make_glosses import PLAIN, UNFIT, WORDS
from studies.near_duplicates import Seen, words_of
from studies.sources import as_csv, write_task
from studies.wordnet import Synset, nouns

SEED = 2026
SIZES = {"train": 1200, "validation": 200, "test": 400}
OF_A_KIND = 2  # rows at most that have the same answer: WordNet alone has hundreds of shrubs


@dataclass(frozen=True)
class Row:
    """A noun, what the dictionary says of it, and the word in that which names its kind.

    Attributes:
        synset: the noun's.
        kind: the number of the synset one step up.
        lemma: the word of that synset which the definition has, as the dictionary lists it.
        answer: the same word as the definition has it, so perhaps in the plural.
    """

    synset: Synset
    kind: str
    lemma: str
    answer: str


def forms(lemma: str) -> set[str]:
    """A noun in the singular, and in the plural by the rules."""
    plural = {f"{lemma}s", f"{lemma}es"}
    if lemma.endswith("y"):
        plural.add(f"{lemma[:-1]}ies")
    if lemma.endswith("man"):
        plural.add(f"{lemma[:-3]}men")
    return {lemma, *plural}


def fit(synset: Synset) -> bool:
    """Whether a row can be made of it at all, by the rules of `glosses`: no names, no formulas, nothing cruel."""
    text = synset.definition
    return (
        not synset.instance
        and re.fullmatch(r"[a-z]+([ -][a-z]+)*", synset.word) is not None
        and len(words_of(text)) in WORDS
        and PLAIN.fullmatch(text) is not None
        and not text.startswith("of ")
        and text.count("(") == text.count(")")
        and not UNFIT.search(text)
        and not UNFIT.search(synset.word)
    )


def row_of(synset: Synset, by_number: dict[str, Synset]) -> Row | None:
    """The row of a synset, where the dictionary leaves no doubt about the answer; otherwise None.

    It's one step below one other synset, exactly one of whose words is in the definition, and that once. A kind that's
    named by several words ("contact sport") makes no row, nor does one that the noun itself has in it ("pit viper").
    """
    if not fit(synset) or len(synset.kinds) != 1:
        return None
    words, kind = words_of(synset.definition), by_number[synset.kinds[0]]
    lemmas = [word.lower() for word in kind.words]
    if any(not lemma.isalpha() and lemma in synset.definition.lower() for lemma in lemmas):
        return None
    found = {(lemma, form) for lemma in lemmas if lemma.isalpha() for form in forms(lemma) if form in words}
    if len(found) != 1:
        return None
    lemma, answer = found.pop()
    # written small and no half of a word ("three-stringed"), in the main clause, and not as a verb ("who sponsors")
    clause = re.sub(r"\([^()]*\)", "", synset.definition).partition(";")[0]
    found = re.findall(rf"(\w+ )?(?<![\w'-]){answer}(?![\w'-])", clause)
    sure = words.count(answer) == len(found) == 1 and found[0].strip() not in ("who", "that", "which", "to")
    return Row(synset, kind.number, lemma, answer) if sure and not forms(lemma) & set(words_of(synset.word)) else None


def chosen(synsets: Iterable[Synset], others: frozenset[str] = frozenset()) -> list[Row]:
    """Rows in the order of chance: an answer belongs to one kind only, and no two definitions are nearly the same.

    Args:
        others: synsets that make no row, since another task has them.
    """
    by_number = {synset.number: synset for synset in synsets}
    pool = [row for number, s in by_number.items() if number not in others and (row := row_of(s, by_number))]
    random.Random(SEED).shuffle(pool)
    seen, kind_of, count, kept = Seen(), {}, Counter(), []
    for row in pool:
        # kinds that share a word would give one split's answers away to another
        taken = any(kind_of.get(word, row.kind) != row.kind for word in forms(row.lemma))
        if taken or count[row.kind] == OF_A_KIND or seen.like(row.synset.definition):
            continue
        kind_of.update(dict.fromkeys(forms(row.lemma), row.kind))
        count[row.kind] += 1
        seen.add(row.synset.definition)
        kept.append(row)
    return kept


def splits(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each split: all of a kind are in one."""
    kinds = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    draw, left = random.Random(SEED), list(kinds.values())
    draw.shuffle(left)
    cut = {}
    for split, size in SIZES.items():
        cut[split] = []
        while left and len(cut[split]) < size:
            cut[split] += left.pop()[: size - len(cut[split])]
        draw.shuffle(cut[split])
    return cut


def of_glosses() -> frozenset[str]:
    """The synsets that are rows of `glosses`."""
    with open(course_data_dir() / "glosses" / "synsets.csv", encoding="utf-8", newline="") as file:
        return frozenset(row["synset"] for row in csv.DictReader(file))


def files() -> dict[str, str]:
    """What's in each file of the task, but for its card.

    Raises:
        DataError: WordNet's file isn't there, or is another one.
    """
    synsets, notice = nouns()
    cut = splits(chosen(synsets, of_glosses()))
    table = ((split, r.synset.number, r.kind, r.synset.word, r.lemma) for split, held in cut.items() for r in held)
    rows = {
        f"{split}.jsonl": as_jsonl(
            [{"prompt": f"{row.synset.word}: {row.synset.definition}", "completion": row.answer} for row in held]
        )
        for split, held in cut.items()
    }
    header = ("split", "synset", "kind", "word", "lemma of the kind")
    return {**rows, "synsets.csv": as_csv(header, table), "LICENSE": notice}


if __name__ == "__main__":
    write_task("genus", files())
