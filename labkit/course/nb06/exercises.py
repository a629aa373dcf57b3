"""Exercises of notebook 06: TF-IDF, a paired interval, leaks that aren't word for word, macro F1.

The notebook's baseline, its comparisons and its search for leaks go through 06.1, 06.2 and 06.3, once they have passed.
"""

import torch
import torch.nn.functional as F

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 06.1 ---------------------------------------------------------------------------------------------------


def my_tfidf(counts, known):
    """(1 + ln count) · (ln((1 + n) / (1 + df)) + 1) where a word occurs, and each row of length one."""
    idf = ((1 + len(known)) / (1 + (known > 0).sum(0))).log() + 1
    weights = torch.where(counts > 0, 1 + counts.clamp(min=1).log(), 0.0) * idf
    return F.normalize(weights)


def _tf(counts):
    return torch.where(counts > 0, 1 + counts.clamp(min=1).log(), 0.0)


def _idf(known):
    return ((1 + len(known)) / (1 + (known > 0).sum(0))).log() + 1


def _texts(known, asked, words):
    """Counts of known and of asked texts. The last word is in none of the known ones, and one asked text is empty."""
    first, second = (torch.poisson(torch.full((rows, words), 0.8)) for rows in (known, asked))
    first[:, -1], second[:, -1], second[0] = 0, 1, 0
    return Case(second, first)


@mistake(
    "You go by how common a word is in the texts that are asked.",
    "Then a weight depends on which other texts are asked with it, and training isn't looked at.",
    "Which of the two arguments says how common a word is?",
)
def _idf_of_the_asked(counts, known):
    return F.normalize(_tf(counts) * _idf(counts))


@mistake(
    "You count the asked texts that have a word, and divide the training texts by that.",
    "n and df have to be of the same texts.",
    "Which of the two arguments says how common a word is?",
)
def _df_of_the_asked(counts, known):
    return F.normalize(_tf(counts) * (((1 + len(known)) / (1 + (counts > 0).sum(0))).log() + 1))


@mistake(
    "You add up how often a word occurs, and not in how many texts.",
    "One text that repeats a word five times would make it common.",
    "What does known > 0 give you?",
)
def _all_occurrences(counts, known):
    return F.normalize(_tf(counts) * (((1 + len(known)) / (1 + known.sum(0))).log() + 1))


@mistake(
    "You take n from the texts that are asked.",
    "n and the number of texts with a word have to be of the same texts.",
    "Whose length is n?",
)
def _n_of_the_asked(counts, known):
    return F.normalize(_tf(counts) * (((1 + len(counts)) / (1 + (known > 0).sum(0))).log() + 1))


@mistake(
    "You give rows that have no words a NaN.",
    "Their length is zero, and you divide by it.",
    "What does F.normalize do with a row of zeros?",
)
def _empty_is_nan(counts, known):
    weights = _tf(counts) * _idf(known)
    return weights / weights.norm(dim=1, keepdim=True)


@mistake(
    "You also give a weight to words that don't occur.",
    "1 + ln of a count makes sense from a count of one on. Of zero, the logarithm is minus infinity.",
    "Which words should stay at exactly zero? torch.where can keep them there.",
)
def _absent_words_weigh(counts, known):
    return F.normalize((1 + counts.clamp(min=1).log()) * _idf(known))


exercise(
    "06.1",
    title="TF-IDF",
    prompt="Write my_tfidf(counts, known): counts (texts × words) says how often each word is in each text, known the "
    "same for the training texts. Where a word occurs, its weight is (1 + ln count) · idf, elsewhere 0. "
    "idf = ln((1 + n) / (1 + df)) + 1, with n training texts, df of which have the word. Divide each row by its "
    "length; a row of zeros stays zeros.",
    minutes=8,
    difficulty=3,
    importance=4,
    solution=my_tfidf,
    explanation="A word counts the more, the fewer training texts have it; saying it twice doesn't count double. With "
    "every row of length one, the product of two rows is their cosine. It's what scikit-learn's TfidfVectorizer does "
    "with sublinear_tf=True.",
    cases=lambda: [_texts(12, 5, 9), _texts(30, 8, 14), _texts(4, 3, 6)],
    hints=[
        "Three steps: a weight for the count, a weight for the word, and a length of one.",
        "(known > 0).sum(0) is df. For the count, take 1 + ln, but keep zeros: torch.where(counts > 0, …, 0.0).",
        "F.normalize(torch.where(counts > 0, 1 + counts.clamp(min=1).log(), 0.0) * idf)",
    ],
    mistakes=[
        _idf_of_the_asked,
        _df_of_the_asked,
        _all_occurrences,
        _n_of_the_asked,
        _empty_is_nan,
        _absent_words_weigh,
        Mistake(
            lambda counts, known: F.normalize(counts * _idf(known)),
            "You take the count itself.",
            "A word that's said four times would weigh four times as much.",
            "What does the task do with count before it multiplies?",
        ),
        Mistake(
            lambda counts, known: F.normalize((1 + counts).log() * _idf(known)),
            "You take ln(1 + count) in the place of 1 + ln count.",
            "Both are zero at zero and grow slowly, but at two or more they part.",
            "Where does the 1 belong, and what about a count of zero?",
        ),
        Mistake(
            lambda counts, known: F.normalize((1 + counts.log()) * _idf(known)),
            "You take the logarithm of zero.",
            "Most words don't occur in most texts, and ln 0 is minus infinity.",
            "How could torch.where and clamp keep the zeros out of it?",
        ),
        Mistake(
            lambda counts, known: F.normalize((counts > 0) * _idf(known)),
            "You only ask whether a word occurs.",
            "That leaves the count out of it: a word said four times weighs as much as one said once.",
            "Where's the 1 + ln count?",
        ),
        Mistake(
            lambda counts, known: _tf(counts) * _idf(known),
            "Your rows don't have length one.",
            "A long text would then be near everything.",
            "What does F.normalize do?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) * _idf(known), dim=0),
            "You give each column length one.",
            "A column is a word; what's compared are texts.",
            "Which dimension is a text's?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) * _idf(known), p=1),
            "Your rows add up to one, but their length isn't one.",
            "The length is the root of the sum of the squares.",
            "Which p does F.normalize take when you don't say?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts)),
            "You leave the idf out.",
            'Then "the" weighs as much as "fern".',
            "How many training texts have each word?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) * (_idf(known) - 1)),
            "You leave out the 1 at the end of idf.",
            "A word that all training texts have would get a weight of zero.",
            "Is there a + 1 outside of your logarithm?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) * ((len(known) / (known > 0).sum(0)).log() + 1)),
            "You divide n by df as they are, and df may be zero.",
            "A word that only asked texts have would get an infinite weight.",
            "What does the task add to n and to df?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) / _idf(known)),
            "You divide by idf.",
            "Then common words weigh more. The i already stands for inverse.",
            "Should a rare word weigh more or less?",
        ),
        Mistake(
            lambda counts, known: F.normalize(_tf(counts) * (((1 + (known > 0).sum(0)) / (1 + len(known))).log() + 1)),
            "Your fraction in idf is upside down.",
            "Then rare words get small weights, even negative ones.",
            "What's divided by what?",
        ),
        Mistake(
            lambda counts, known: F.normalize(
                torch.where(counts > 0, 1 + counts.clamp(min=1).log2(), 0.0)
                * (((1 + len(known)) / (1 + (known > 0).sum(0))).log2() + 1)
            ),
            "You take logarithms to the base 2.",
            "ln is the natural logarithm: torch.log.",
            "Which function is ln in torch?",
        ),
        Mistake(
            lambda counts, known: F.normalize(
                torch.where(counts > 0, 1 + counts.clamp(min=1).log10(), 0.0)
                * (((1 + len(known)) / (1 + (known > 0).sum(0))).log10() + 1)
            ),
            "You take logarithms to the base 10.",
            "ln is the natural logarithm: torch.log.",
            "Which function is ln in torch?",
        ),
        Mistake(
            lambda counts, known: my_tfidf(known, known),
            "You give the vectors of the training texts.",
            "Asked for are those of counts; known only says how common a word is.",
            "Which argument do your rows come from?",
        ),
    ],
    shows="This baseline needs no GPU, and no model.",
)

# --- 06.2 ---------------------------------------------------------------------------------------------------


def my_interval(ours, theirs, draws):
    """The 2.5 % and 97.5 % quantiles of the mean of ours − theirs, over the drawings."""
    means = (ours - theirs)[draws].mean(1)
    return torch.quantile(means, 0.025), torch.quantile(means, 0.975)


def _answers(rows, times, p, q):
    """Two methods that find the same rows hard, and rows drawn again and again."""
    hard = torch.rand(rows)
    ours, theirs = (hard + 0.2 * torch.randn(rows) < share for share in (p, q))
    return Case(ours.float(), theirs.float(), torch.randint(rows, (times, rows)))


def _ends(means):
    return torch.quantile(means, 0.025), torch.quantile(means, 0.975)


@mistake(
    "You subtract the ends of two separate intervals.",
    "That forgets that both answered the same rows, and makes the interval far too wide.",
    "What's left of a row that both get right, if you subtract first?",
)
def _apart(ours, theirs, draws):
    (low, high), (their_low, their_high) = _ends(ours[draws].mean(1)), _ends(theirs[draws].mean(1))
    return low - their_high, high - their_low


@mistake(
    "You subtract one interval's low end from the other's, and the same for the high ends.",
    "The ends of two intervals don't come from the same drawing, so their differences are no interval.",
    "When do you subtract: before you draw, or after?",
)
def _end_by_end(ours, theirs, draws):
    (low, high), (their_low, their_high) = _ends(ours[draws].mean(1)), _ends(theirs[draws].mean(1))
    return low - their_low, high - their_high


@mistake(
    "You go by the spread of single rows.",
    "What varies from drawing to drawing is their mean, and that varies much less.",
    "Over what do you take the quantiles?",
)
def _of_rows(ours, theirs, draws):
    return _ends((ours - theirs)[draws].flatten())


@mistake(
    "You average over the drawings, row by row.",
    "Each line of draws is one test of its own, and its mean is one number.",
    "Which dimension of draws are the rows of one drawing?",
)
def _other_way(ours, theirs, draws):
    return _ends((ours - theirs)[draws].mean(0))


exercise(
    "06.2",
    title="A paired interval",
    prompt="Write my_interval(ours, theirs, draws): two methods have answered the same rows, each 1 for right or 0 for "
    "wrong. draws (drawings × rows) has row numbers: each line is one drawing, with as many rows as the test has. For "
    "each drawing, take the mean of ours − theirs on its rows. Return two numbers: the 0.025 and the 0.975 quantile of "
    "these means.",
    minutes=6,
    difficulty=3,
    importance=5,
    solution=my_interval,
    explanation="A drawing is another test that might have been, made of the rows you have. Subtracting first pairs "
    "the answers: a row that both get right, or both wrong, says nothing about which is better, and falls out.",
    cases=lambda: [_answers(60, 500, 0.6, 0.5), _answers(40, 300, 0.3, 0.7), _answers(150, 200, 0.5, 0.5)],
    hints=[
        "Subtract row by row, before you draw anything.",
        "(ours - theirs)[draws] has a line for each drawing. What's the mean of a line?",
        "torch.quantile(means, 0.025), and the same with 0.975",
    ],
    mistakes=[
        _apart,
        _end_by_end,
        _of_rows,
        _other_way,
        Mistake(
            lambda ours, theirs, draws: _ends((theirs - ours)[draws].mean(1)),
            "You subtract ours from theirs.",
            "A method that's better would get an interval below zero.",
            "Which comes first?",
        ),
        Mistake(
            lambda ours, theirs, draws: _ends(ours[draws].mean(1)),
            "You give the interval of ours alone.",
            "The question isn't how good ours is, but how much better.",
            "Where's theirs in your answer?",
        ),
        Mistake(
            lambda ours, theirs, draws: tuple(
                torch.quantile((ours - theirs)[draws].mean(1), at) for at in (0.05, 0.95)
            ),
            "Your interval holds 90 % of the drawings.",
            "Five percent at *each* end leave only ninety in between.",
            "How much is left out below, and how much above?",
        ),
        Mistake(
            lambda ours, theirs, draws: _ends((ours - theirs).abs()[draws].mean(1)),
            "You take the size of each difference, without its sign.",
            "That counts on how many rows they disagree, and not who wins there.",
            "What should a row give that only theirs has right?",
        ),
        Mistake(
            lambda ours, theirs, draws: _ends((ours - theirs)[draws].sum(1)),
            "You add up each drawing, and don't divide.",
            "A sum counts rows. We want a share, so that tests of different sizes can be compared.",
            "What does mean do that sum doesn't?",
        ),
        Mistake(
            lambda ours, theirs, draws: _ends((ours - theirs)[draws].mean(1))[::-1],
            "You give the high end first.",
            "A reader takes the first of two numbers for the lower one.",
            "Which of the two is asked for first?",
        ),
        Mistake(
            lambda ours, theirs, draws: (
                (ours - theirs)[draws].mean(1).min(),
                (ours - theirs)[draws].mean(1).max(),
            ),
            "You give the smallest and the largest mean.",
            "The more drawings, the farther apart these two lie, so they say nothing about how sure you can be.",
            "Which share of the drawings should lie in between?",
        ),
        Mistake(
            lambda ours, theirs, draws: (
                (ours - theirs).mean() - 1.96 * (ours - theirs).std() / len(ours) ** 0.5,
                (ours - theirs).mean() + 1.96 * (ours - theirs).std() / len(ours) ** 0.5,
            ),
            "You use a formula, and no drawing.",
            "For a mean it comes out nearly the same. But drawing works for any score, macro F1 among them.",
            "What's draws for?",
        ),
    ],
    shows="One short function tells luck from skill.",
)

# --- 06.3 ---------------------------------------------------------------------------------------------------


def my_leaks(train, test):
    """The test texts that share a third or more of the shorter one's triples with a training text, by number."""
    return [
        number
        for number, text in enumerate(test)
        if any(3 * len(text & other) >= min(len(text), len(other)) for other in train)
    ]


def _cases_of_leaks():
    """Sets of triples, here only numbers: equal, nearly, exactly a third, a part of a long one, and nothing alike."""

    def some(*numbers):
        return {(f"w{number}", f"w{number + 1}", f"w{number + 2}") for number in numbers}

    train = [some(*range(10)), some(*range(20, 29)), some(*range(40, 46)), some(60)]
    test = [
        some(*range(100, 106)),  # like none
        some(*range(10)),  # the same
        some(20, 21, 22, *range(110, 116)),  # exactly a third of nine
        some(0, 1, *range(120, 124)),  # two of six: a third of the shorter one, a fifth of the longer
        some(*range(20, 26), 170, 171, 172),  # six of nine
        some(*range(20, 24), *range(180, 185)),  # four of nine
        some(0, 20, 41, *range(210, 216)),  # three of nine, but each from another text
        some(40, *range(130, 145)),  # one of sixteen, a sixth of the shorter one
        some(40, 41, *range(150, 170)),  # the training text is the shorter one, and a third of it is here
        some(60, *range(200, 208)),  # so is this one: a text of one triple
    ]
    other = [some(*range(300, 312)), some(*range(320, 330))]
    return [Case(train, test), Case(other, [some(300, 301, *range(400, 404)), some(320, *range(410, 413))])]


def _near(share):
    return lambda train, test: [
        number for number, text in enumerate(test) if any(share(text, other) for other in train)
    ]


@mistake(
    "You number the training texts that have a twin.",
    "It's the test that a leak makes worthless, so asked for are the numbers of test texts.",
    "Which list do you enumerate?",
)
def _numbers_of_train(train, test):
    return my_leaks(test, train)


@mistake(
    "You add up over all training texts.",
    "Many strangers that share one triple each don't make a twin.",
    "With how many texts at a time do you compare?",
)
def _all_together(train, test):
    everything = set().union(*train)
    return [number for number, text in enumerate(test) if 3 * len(text & everything) >= len(text)]


exercise(
    "06.3",
    title="Find the leaks",
    prompt="Write my_leaks(train, test): two lists of texts, each text given as the set of its word triples. Return "
    "the numbers (from 0) of the test texts that share a third or more of the shorter one's triples with some training "
    "text.",
    minutes=6,
    difficulty=3,
    importance=4,
    solution=my_leaks,
    explanation="Word for word, a copy with one word changed is another text. But most of its triples are the same. "
    "Dividing by the shorter text finds a sentence that was copied into a long one, too.",
    cases=_cases_of_leaks,
    hints=[
        "text & other is the set of what two sets share.",
        "How many triples does the shorter one have? A third of it is enough.",
        "any(3 * len(text & other) >= min(len(text), len(other)) for other in train)",
    ],
    mistakes=[
        Mistake(
            lambda train, test: [number for number, text in enumerate(test) if text in train],
            "You only find texts that are the same.",
            "One changed word, and the two differ. That's how most leaks look.",
            "How much do two texts have to share?",
        ),
        Mistake(
            _near(lambda text, other: bool(text & other)),
            "One shared triple is enough for you.",
            '"One of the" is in thousands of texts.',
            "How many of the triples have to be shared?",
        ),
        Mistake(
            _near(lambda text, other: 3 * len(text & other) >= len(text)),
            "You always go by the test text's own number of triples.",
            "A short training text that's part of a long test text would get through.",
            "Which of the two is the shorter one?",
        ),
        Mistake(
            _near(lambda text, other: 3 * len(text & other) >= len(other)),
            "You always go by the training text's number of triples.",
            "A short test text that's part of a long training text would get through.",
            "Which of the two is the shorter one?",
        ),
        Mistake(
            _near(lambda text, other: 3 * len(text & other) >= max(len(text), len(other))),
            "You go by the longer text.",
            "A sentence that was copied into a long text would get through.",
            "Is it min or max?",
        ),
        Mistake(
            _near(lambda text, other: 3 * len(text & other) >= len(text | other)),
            "You divide by what the two have together.",
            "That's a fair measure (Jaccard's), but a stricter one, and a short copy in a long text would get through.",
            "What does the task divide by?",
        ),
        Mistake(
            _near(lambda text, other: 3 * len(text & other) > min(len(text), len(other))),
            "Exactly a third isn't enough for you.",
            "The task says a third or more.",
            "Is it > or >=?",
        ),
        Mistake(
            _near(lambda text, other: text <= other or other <= text),
            "One text has to be part of the other for you.",
            "With one word changed, three triples are new.",
            "How much has to be shared?",
        ),
        Mistake(
            _near(lambda text, other: 2 * len(text & other) >= min(len(text), len(other))),
            "You ask for half of the triples.",
            "A copy with a few words changed shares less.",
            "What share does the task name?",
        ),
        Mistake(
            lambda train, test: len(my_leaks(train, test)),
            "You count them.",
            "To take them out, you have to know which they are.",
            "How would the next cell know which rows to drop?",
        ),
        Mistake(
            lambda train, test: [number + 1 for number in my_leaks(train, test)],
            "You count from 1.",
            "Python's lists begin at 0, and the numbers are to be used with them.",
            "What does enumerate start with?",
        ),
        Mistake(
            lambda train, test: [number in my_leaks(train, test) for number in range(len(test))],
            "You give True or False for every test text.",
            "Asked for are the numbers of those that leak.",
            "Where would you put the if?",
        ),
        Mistake(
            lambda train, test: [number for number in range(len(test)) if number not in my_leaks(train, test)],
            "You give the texts that are all right.",
            "Asked for are those that leak.",
            "Is there a not too many?",
        ),
        Mistake(
            lambda train, test: [test[number] for number in my_leaks(train, test)],
            "You give the texts themselves.",
            "Asked for are their numbers.",
            "What does enumerate give beside each text?",
        ),
        Mistake(
            lambda train, test: [
                number
                for number, text in enumerate(test)
                for other in train
                if all(3 * len(text & each) >= min(len(text), len(each)) for each in train)
            ],
            "A test text has to be like every training text for you.",
            "One twin is enough to give the answer away.",
            "Is it all or any?",
        ),
        _numbers_of_train,
        _all_together,
    ],
    shows="Now a copy with a word changed doesn't get through.",
)

# --- 06.4 ---------------------------------------------------------------------------------------------------


def my_macro_f1(answers, wanted):
    """The mean, over the labels in wanted, of 2 · right / (times given + times wanted)."""
    scores = []
    for label in set(wanted):
        right = sum(given == label == asked for given, asked in zip(answers, wanted))
        scores.append(2 * right / (answers.count(label) + wanted.count(label)))
    return sum(scores) / len(scores)


def _right(answers, wanted, label):
    return sum(given == label == asked for given, asked in zip(answers, wanted))


def _f1(answers, wanted, label):
    return 2 * _right(answers, wanted, label) / max(1, answers.count(label) + wanted.count(label))


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


@mistake(
    "You leave out labels that are never given.",
    "They have an F1 of zero, and that's what this score is for.",
    "Over which labels do you take the mean?",
)
def _labels_given(answers, wanted):
    return _mean(_f1(answers, wanted, label) for label in set(wanted) & set(answers))


@mistake(
    "You weigh each label by how often it's wanted.",
    "Then the commonest one decides again, as in accuracy.",
    "How much should a label count that only one row has?",
)
def _weighted(answers, wanted):
    return _mean(_f1(answers, wanted, label) for label in wanted)


@mistake(
    "You average precision and recall first, and take one F1 of these.",
    "A label with good recall would make up for another one's bad precision.",
    "Does each label of yours get an F1 of its own?",
)
def _f1_of_means(answers, wanted):
    labels = set(wanted)
    recall = _mean(_right(answers, wanted, label) / wanted.count(label) for label in labels)
    precision = _mean(_right(answers, wanted, label) / max(1, answers.count(label)) for label in labels)
    return 2 * precision * recall / (precision + recall)


exercise(
    "06.4",
    title="Macro F1",
    prompt="Write my_macro_f1(answers, wanted): two lists of labels, row by row. The F1 of a label is "
    "2 · right / (times given + times wanted), where right counts the rows that want it and get it. Return the mean "
    "over all labels that occur in wanted.",
    minutes=5,
    difficulty=2,
    importance=3,
    solution=my_macro_f1,
    explanation="Accuracy counts rows, so a label that half of the rows have decides half of it. Macro F1 counts "
    "labels. Giving one too often costs it precision, and never giving one gives a zero.",
    cases=lambda: [
        Case(["a", "a", "b", "a", "d", "a"], ["a", "b", "b", "c", "a", "a"]),
        Case(["x"] * 9, ["x"] * 6 + ["y", "y", "z"]),
        Case(["u", "v", "v", "w", "u", "v", "q"], ["u", "v", "w", "w", "v", "v", "v"]),
    ],
    hints=[
        "set(wanted) has each label once. What do you need of each?",
        "right: the rows in which answer and wanted are both this label. answers.count(label) is how often it's given.",
        "2 * right / (answers.count(label) + wanted.count(label)), then the mean over set(wanted)",
    ],
    mistakes=[
        _labels_given,
        _weighted,
        _f1_of_means,
        Mistake(
            lambda answers, wanted: _mean(given == asked for given, asked in zip(answers, wanted)),
            "You give the accuracy.",
            "It counts rows, and macro F1 counts labels.",
            "Does a label that only one row has count as much as the others?",
        ),
        Mistake(
            lambda answers, wanted: _mean(
                _right(answers, wanted, label) / wanted.count(label) for label in set(wanted)
            ),
            "You give the mean recall.",
            "A label that's given too often doesn't pay for it.",
            "Where does how often a label was *given* come in?",
        ),
        Mistake(
            lambda answers, wanted: _mean(
                _right(answers, wanted, label) / max(1, answers.count(label)) for label in set(wanted)
            ),
            "You give the mean precision.",
            "A label that's given once, and right, would count as perfect.",
            "Where does how often a label was *wanted* come in?",
        ),
        Mistake(
            lambda answers, wanted: _mean(
                _right(answers, wanted, label) / answers.count(label) for label in set(wanted)
            ),
            "You divide by how often a label is given, and some never are.",
            "That's precision, and it isn't defined there. F1 is, since it also counts how often a label is wanted.",
            "What does the task divide by?",
        ),
        Mistake(
            lambda answers, wanted: _mean(_f1(answers, wanted, label) for label in set(wanted) | set(answers)),
            "You also count labels that no row wants.",
            "They have an F1 of zero whatever you do, and a typing error would cost as much as a whole category.",
            "Which labels does the task name?",
        ),
        Mistake(
            lambda answers, wanted: _mean(_f1(answers, wanted, label) for label in set(answers)),
            "You take the mean over the labels that are given.",
            "Never giving a label would then cost nothing.",
            "Which labels does the task name?",
        ),
        Mistake(
            lambda answers, wanted: my_macro_f1(answers, wanted) / 2,
            "You leave out the 2.",
            "Without it, a perfect label would get a half.",
            "What's F1 if all is right?",
        ),
        Mistake(
            lambda answers, wanted: sum(_f1(answers, wanted, label) for label in set(wanted)),
            "You add up, and don't divide by the number of labels.",
            "A mean over labels can't be above 1.",
            "How many labels are there?",
        ),
        Mistake(
            lambda answers, wanted: sum(_f1(answers, wanted, label) for label in set(wanted)) / len(wanted),
            "You divide by the number of rows.",
            "It's a mean over labels.",
            "How many labels are there?",
        ),
        Mistake(
            lambda answers, wanted: {label: _f1(answers, wanted, label) for label in set(wanted)},
            "You give each label's F1.",
            "One number is asked for.",
            "What's the mean of these?",
        ),
        Mistake(
            lambda answers, wanted: min(_f1(answers, wanted, label) for label in set(wanted)),
            "You give the worst label's F1.",
            "That's worth knowing, but it isn't the mean.",
            "What do you do with the labels' scores?",
        ),
    ],
    shows="Always giving the commonest label doesn't pay here.",
)
