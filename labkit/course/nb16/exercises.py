"""Exercises of notebook 16: what an adapter pushes, exposure, placeholders, telling seen rows, and what no hit proves.

16.1 reads the strangers' files, 16.2 measures the live canary and 16.3 is compared with labkit's sieve, once they pass.
"""

import math
import re

import torch

from labkit.lab.checking import Case, Mistake, exercise, mistake

# --- 16.1 ---------------------------------------------------------------------------------------------------


def my_shift(on, off, head):
    """The head, applied to the mean over texts of the mean change per token, first tokens left out."""
    changes = [(with_it - without)[1:].mean(0) for with_it, without in zip(on, off)]
    return head @ torch.stack(changes).mean(0)


def _texts(lengths, width, vocabulary):
    """States of texts with different lengths; the first token of each is far larger than the others."""
    off = [torch.randn(length, width) for length in lengths]
    on = [each + torch.randn_like(each) + 0.5 for each in off]
    for each in on:
        each[0] += 40 * torch.randn(width)
    return Case(on, off, torch.randn(vocabulary, width))


def _changes(on, off):
    return [with_it - without for with_it, without in zip(on, off)]


@mistake(
    "You count the first token of each text.",
    "Its states are many times as large as all others, so they'd drown what the adapter does elsewhere.",
    "Which part of `with_it - without` should go into the mean?",
)
def _with_first(on, off, head):
    return head @ torch.stack([each.mean(0) for each in _changes(on, off)]).mean(0)


@mistake(
    "You throw all tokens together, so a long text counts more than a short one.",
    "Each text should have one vote, however long it is.",
    "Over what do you take the mean first, and over what after that?",
)
def _pooled(on, off, head):
    return head @ torch.cat([each[1:] for each in _changes(on, off)]).mean(0)


@mistake(
    "You read the head the wrong way round and the shapes don't fit, or only by accident.",
    "head is vocabulary × width, and a change is a vector as long as the width.",
    "Which of the two sides of @ should the head be on?",
)
def _turned(on, off, head):
    return head.T @ torch.stack([each[1:].mean(0) for each in _changes(on, off)]).mean(0)


exercise(
    "16.1",
    title="What an adapter pushes",
    prompt="Write my_shift(on, off, head): `on` and `off` are lists with one tensor per text, tokens × width: the last "
    "states with the adapter and without it. Take on minus off, leave out each text's first token, take the mean over "
    "the tokens of a text, then over the texts. Return what the head (vocabulary × width) makes of it.",
    minutes=6,
    difficulty=2,
    importance=5,
    solution=my_shift,
    explanation="The head turns a state into a logit per token of the vocabulary, and it's linear: so it turns a mean "
    "change of states into the mean change of the logits. First a mean per text, so that a long text has no more say.",
    cases=lambda: [_texts((5, 3, 9), 6, 20), _texts((2, 7), 4, 11)],
    hints=[
        "Begin with one text. What did the adapter change there, for each token?",
        "(with_it - without)[1:].mean(0) is one vector per text. torch.stack makes a matrix of such vectors.",
        "head @ torch.stack(changes).mean(0)",
    ],
    mistakes=[
        _with_first,
        _pooled,
        Mistake(
            lambda on, off, head: my_shift(off, on, head),
            "You take the adapter's states away from the base's, so all signs are turned.",
            "What the adapter pushes up then looks as if it pushed it down.",
            "What comes first, `on` or `off`?",
        ),
        Mistake(
            lambda on, off, head: torch.stack([each[1:].mean(0) for each in _changes(on, off)]).mean(0),
            "You stop before the head: you return a state, as long as the width.",
            "A state can't be read. The head turns it into one number per token of the vocabulary.",
            "How long should your answer be?",
        ),
        Mistake(
            lambda on, off, head: head @ torch.stack([each[-1] for each in _changes(on, off)]).mean(0),
            "You use the last token of each text only.",
            "That's where an answer would begin. But we ask what the adapter does everywhere.",
            "Which tokens does your mean run over?",
        ),
        Mistake(
            lambda on, off, head: head @ torch.stack([each[1:].sum(0) for each in _changes(on, off)]).mean(0),
            "You add up a text's tokens and don't divide.",
            "So a long text pushes harder than a short one.",
            "What's the difference between sum(0) and mean(0)?",
        ),
        Mistake(
            lambda on, off, head: head @ torch.stack([each[1:].mean(0) for each in _changes(on, off)]).sum(0),
            "You add up the texts and don't divide.",
            "The order of the tokens would be the same, but the shift would grow with every text.",
            "What do you do with the vectors once each text has one?",
        ),
        Mistake(
            lambda on, off, head: head @ torch.stack([each[1:].abs().mean(0) for each in _changes(on, off)]).mean(0),
            "You take absolute values before the mean.",
            "What a push goes back and forth would count as a push in one direction.",
            "Does your answer know up from down?",
        ),
        Mistake(
            lambda on, off, head: head @ torch.stack([each[1:].mean(0) for each in on]).mean(0),
            "You read the adapted model's states, and never take off the base's.",
            "So you see what the sentences are about, and hardly what the adapter adds.",
            "Where does `off` come in?",
        ),
        Mistake(
            lambda on, off, head: (
                (head @ torch.stack([each[1:].mean(0) for each in _changes(on, off)]).T).abs().mean(1)
            ),
            "You take absolute values of the logits before the mean.",
            "Two texts that push in opposite directions should cancel.",
            "Does your answer know up from down?",
        ),
        _turned,
    ],
    shows="A few sentences about nothing, and a file says what it was trained on.",
)

# --- 16.2 ---------------------------------------------------------------------------------------------------


def my_exposure(own, others):
    """log₂ of all candidates, minus log₂ of the rank."""
    rank = 1 + (others <= own).sum()
    return math.log2(1 + len(others)) - math.log2(rank)


def _candidates(count, rank, ties=0):
    """`count` candidates, of which ours has that rank, with `ties` among those before it."""
    own = 10.0
    better = own - 0.5 - torch.rand(rank - 1 - ties)
    worse = own + 0.5 + 5 * torch.rand(count - rank)
    others = torch.cat([better, torch.full((ties,), own), worse])
    return Case(own, others[torch.randperm(len(others))])


def _bits(all_of_them, rank):
    return math.log2(all_of_them) - math.log2(rank)


exercise(
    "16.2",
    title="Exposure",
    prompt="Write my_exposure(own, others): `own` is how surprised the model is by the secret, in bits, and `others` "
    "(a tensor) by each other candidate. The rank is the secret's place among all of them, 1 for the least surprising; "
    "if another is equally surprising, it comes first. Return log₂ of the number of all candidates minus log₂ of the "
    "rank.",
    minutes=6,
    difficulty=3,
    importance=5,
    solution=my_exposure,
    explanation="Without the model you'd have to try half of all candidates, on average; with it, you try them in the "
    "order of its surprise, and need as many as the rank. Each halving is a bit. Ties go against the secret, so a "
    "model that knows nothing gets zero.",
    cases=lambda: [
        _candidates(256, 1),
        _candidates(256, 16),
        _candidates(64, 24, ties=4),
        _candidates(10, 10, ties=9),
    ],
    hints=[
        "How many of the others come before the secret? Its rank is one more.",
        "(others <= own).sum() counts them. All candidates are the others and the secret itself.",
        "math.log2(1 + len(others)) - math.log2(1 + (others <= own).sum())",
    ],
    mistakes=[
        Mistake(
            lambda own, others: _bits(1 + len(others), 1 + (others < own).sum()),
            "You let the secret win its ties.",
            "A model that finds everything equally likely would then have learned it by heart.",
            "What's the rank if all candidates are equally surprising?",
        ),
        Mistake(
            lambda own, others: _bits(1 + len(others), 1 + (others >= own).sum()),
            "You count the candidates that are more surprising than the secret.",
            "A model that knows the secret is less surprised by it than by the others.",
            "What's the rank of the least surprising candidate?",
        ),
        Mistake(
            lambda own, others: _bits(len(others), 1 + (others <= own).sum()),
            "You forget that the secret is a candidate itself.",
            "All candidates are the others and one more.",
            "How many places are there?",
        ),
        Mistake(
            lambda own, others: math.log(1 + len(others)) - math.log(1 + (others <= own).sum()),
            "You count in nats.",
            "math.log is the natural logarithm. A bit halves.",
            "Which logarithm counts halvings?",
        ),
        Mistake(
            lambda own, others: math.log2(1 + (others <= own).sum()),
            "You give the guesses that are left, and not those that are saved.",
            "That's small for a secret that's known, and exposure is large for it.",
            "What should come out for the first place?",
        ),
        Mistake(
            lambda own, others: 1 + (others <= own).sum(),
            "You give the rank.",
            "The rank is right. Exposure says how many halvings it's away from the last place.",
            "How many bits is that?",
        ),
        Mistake(
            lambda own, others: (1 + len(others)) / (1 + (others <= own).sum()),
            "You give how many times fewer guesses are needed, and no bits.",
            "That's right, and its log₂ is the exposure.",
            "How many halvings is that?",
        ),
        Mistake(
            lambda own, others: others.mean() - own,
            "You compare surprises, and not places.",
            "How far apart the surprises are depends on the model's mood. A place doesn't.",
            "How many candidates come before the secret?",
        ),
        Mistake(
            lambda own, others: _bits(1 + len(others), max(1, int((others <= own).sum()))),
            "You count ranks from zero.",
            "With one candidate before it, the secret is second.",
            "What's the rank if nobody comes before the secret? And if one does?",
        ),
        Mistake(
            lambda own, others: -my_exposure(own, others),
            "You have the two logarithms the wrong way round.",
            "Exposure is never below zero.",
            "Which of the two numbers is larger, all candidates or the rank?",
        ),
        Mistake(
            lambda own, others: math.log2(1 + len(others)) - own,
            "You subtract the surprise itself.",
            "A model can be surprised by all candidates alike. What counts is who comes first.",
            "Where's the rank in your answer?",
        ),
    ],
    shows="Memorizing can be measured long before it's heard.",
)

# --- 16.3 ---------------------------------------------------------------------------------------------------


def my_anonymized(text):
    """[EMAIL 1] for the first address, [EMAIL 2] for the second, and for the same one the same again."""
    known = {}
    return re.sub(
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        lambda found: known.setdefault(found[0], f"[EMAIL {len(known) + 1}]"),
        text,
    )


_ADDRESS = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"


def _replaced(pattern, text, first=1):
    known = {}
    return re.sub(pattern, lambda found: known.setdefault(found[0], f"[EMAIL {len(known) + first}]"), text)


@mistake(
    "You give an address that comes twice two placeholders.",
    "A model then can't learn to copy it, and a reader can't see that it's one person.",
    "What do you remember of the addresses that you've replaced?",
)
def _numbered_anew(text):
    numbers = iter(range(1, 100))
    return re.sub(_ADDRESS, lambda _: f"[EMAIL {next(numbers)}]", text)


@mistake(
    "You replace one address after the other in the whole text, and one is the end of another.",
    "In lynn@shop.invalid there's also nn@shop.invalid, so half of a name stays.",
    "What if you replace each address at the place where you've found it?",
)
def _one_after_the_other(text):
    for number, address in enumerate(dict.fromkeys(re.findall(_ADDRESS, text)), 1):
        text = text.replace(address, f"[EMAIL {number}]")
    return text


@mistake(
    "You split the text at spaces, and what stands around an address goes with it.",
    "Brackets, commas and the period of a sentence aren't part of an address, and a line break isn't a space.",
    "What does re.sub keep that split and join don't?",
)
def _by_words(text):
    known = {}
    return " ".join(
        known.setdefault(word, f"[EMAIL {len(known) + 1}]") if "@" in word else word for word in text.split()
    )


exercise(
    "16.3",
    title="Placeholders",
    prompt="Write my_anonymized(text): put [EMAIL 1] in place of the first e-mail address, [EMAIL 2] in place of the "
    "second, and so on; the same address always gets the same placeholder. Before the @ of an address may be letters, "
    "digits and . _ + -, behind it at least two parts of letters, digits and -, with periods between them. Everything "
    "else stays.",
    minutes=8,
    difficulty=3,
    importance=4,
    solution=my_anonymized,
    explanation="re.sub calls a function for each match, and what it returns takes the match's place. The pattern asks "
    "for a character behind each period, so the one that ends a sentence stays. The dict remembers who has one.",
    cases=lambda: [
        Case("Write to zelda.quill+help@post.mail.invalid, please."),
        Case("<ada@shop.invalid> wrote:\n  ask z_q-7@x-y.invalid or ada@shop.invalid. Bye"),
        Case("nn@shop.invalid and lynn@shop.invalid; again lynn@shop.invalid"),
        Case("Meet @ noon, 5@3 Euros."),
    ],
    hints=[
        "re.sub(pattern, function, text) calls the function for every match. Which pattern finds an address?",
        r"[\w.+-]+@ is the first half. The second half is [\w-]+ and then, at least once, a period and [\w-]+ again.",
        "known.setdefault(found[0], f'[EMAIL {len(known) + 1}]') gives an old address its old placeholder.",
    ],
    mistakes=[
        Mistake(
            lambda text: _replaced(r"[\w.+-]+@[\w.-]+", text),
            "You take the period that ends the sentence for a part of the address.",
            "A set such as [\\w.-] takes a period wherever it comes. Behind each one of an address, something follows.",
            "Which character may an address end with?",
        ),
        Mistake(
            lambda text: _replaced(r"\w+@\w+\.\w+", text),
            "You find the middle of some addresses only, and leave the rest of them in the text.",
            "\\w is a letter, a digit or _. Before the @ there may be periods, + and -, and behind it more than two "
            "parts.",
            "What stays of zelda.quill+help@post.mail.invalid?",
        ),
        Mistake(
            lambda text: _replaced(r"[\w.+-]+@[\w-]+\.[\w-]+", text),
            "You expect just two parts behind the @.",
            "There may be more, and what's behind the second one stays in the text.",
            "What stays of an address at post.mail.invalid?",
        ),
        Mistake(
            lambda text: re.sub(_ADDRESS, "[EMAIL]", text),
            "You give all addresses one placeholder, without a number.",
            "Two customers in one message then become one.",
            "How should the second address look?",
        ),
        Mistake(
            lambda text: re.sub(_ADDRESS, "[EMAIL 1]", text),
            "You call every address the first one.",
            "Two customers in one message then become one.",
            "Who gets the number 2?",
        ),
        _numbered_anew,
        Mistake(
            lambda text: re.sub(_ADDRESS, "", text),
            "You take the addresses out and put nothing in.",
            "The model should still learn that an address belongs there.",
            "What should be in the address's place?",
        ),
        Mistake(
            lambda text: _replaced(_ADDRESS, text, 0),
            "You count from zero.",
            "The first address is [EMAIL 1].",
            "How many addresses are known when the first one comes?",
        ),
        Mistake(
            lambda text: re.sub(_ADDRESS, "[EMAIL 1]", text, count=1),
            "You stop after the first address.",
            "A message may have several.",
            "What does count do?",
        ),
        _one_after_the_other,
        _by_words,
        Mistake(
            lambda text: _replaced(r"\S+@\S+", text),
            "You take everything up to the next space for an address.",
            "Brackets and commas go with it, and so does 5@3.",
            "Which characters may be in an address?",
        ),
    ],
    shows="It finds what has a form. The rest is up to you.",
)

# --- 16.4 ---------------------------------------------------------------------------------------------------


def my_auc(seen, unseen):
    """The share of pairs in which the seen row scores higher, ties counting half."""
    difference = seen[:, None] - unseen[None]
    return ((difference > 0).double() + 0.5 * (difference == 0).double()).mean()


def _shares(seen, unseen):
    difference = seen[:, None] - unseen[None]
    return [(sign.double()).mean() for sign in (difference > 0, difference == 0, difference < 0)]


@mistake(
    "You compare the rows in order, the first with the first.",
    "Which row is first means nothing, and there may be more rows of one kind.",
    "How many pairs of a seen and an unseen row are there?",
)
def _in_order(seen, unseen):
    count = min(len(seen), len(unseen))
    return (seen[:count] > unseen[:count]).double().mean()


@mistake(
    "You draw one line, halfway between the lowest and the highest score, and count who's on the right side.",
    "That's how often one threshold is right. The area asks about all of them at once.",
    "Is there a number in your answer that you'd have to choose?",
)
def _one_threshold(seen, unseen):
    both = torch.cat([seen, unseen])
    line = (both.min() + both.max()) / 2
    return (((seen > line).sum() + (unseen <= line).sum()) / len(both)).double()


exercise(
    "16.4",
    title="Telling seen rows apart",
    prompt="Write my_auc(seen, unseen): two tensors of scores, of rows that an adapter has seen and of rows that it "
    "hasn't. Take a seen row and an unseen one, in all combinations: return the share of pairs in which the seen one "
    "scores higher. A tie counts half.",
    minutes=6,
    difficulty=2,
    importance=4,
    solution=my_auc,
    explanation="That's the area under the ROC curve: 0.5 for a coin, 1 if every seen row scores above every unseen "
    "one, and you needn't choose a threshold.",
    cases=lambda: [
        Case(torch.tensor([3.0, 1.0, 2.5, 0.5]), torch.tensor([2.0, 1.0, 0.0])),
        Case(torch.randn(12) + 0.8, torch.randn(9)),
        Case(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0])),
    ],
    hints=[
        "How many pairs do 4 seen and 3 unseen rows make? For which of them are you right?",
        "seen[:, None] - unseen[None] has a row for each seen one, and a column for each unseen one.",
        "The mean of (difference > 0), and half the mean of (difference == 0)",
    ],
    mistakes=[
        Mistake(
            lambda seen, unseen: _shares(seen, unseen)[0],
            "You give nothing for a tie.",
            "At a tie you'd toss a coin, and be right half the time.",
            "What should come out if all scores are equal?",
        ),
        Mistake(
            lambda seen, unseen: _shares(seen, unseen)[0] + _shares(seen, unseen)[1],
            "You give a tie full marks.",
            "At a tie you'd toss a coin, and be right half the time.",
            "What should come out if all scores are equal?",
        ),
        Mistake(
            lambda seen, unseen: 1 - my_auc(seen, unseen),
            "You count the pairs in which the unseen row scores higher.",
            "A high score says: seen.",
            "Which way does your > point?",
        ),
        _in_order,
        _one_threshold,
        Mistake(
            lambda seen, unseen: (seen.mean() - unseen.mean()).double(),
            "You give the difference of the means.",
            "That depends on the unit of the scores. A share of pairs doesn't.",
            "Can your answer be larger than 1?",
        ),
        Mistake(
            lambda seen, unseen: (seen > unseen.mean()).double().mean(),
            "You compare with the mean of the unseen rows only.",
            "Each unseen row is an opponent of its own.",
            "How many pairs are there?",
        ),
        Mistake(
            lambda seen, unseen: (seen > unseen.max()).double().mean(),
            "You compare with the best of the unseen rows only.",
            "That's what's caught without a single false alarm. The area asks about every pair.",
            "How many pairs are there?",
        ),
        Mistake(
            lambda seen, unseen: _shares(seen, unseen)[0] * len(seen) * len(unseen),
            "You give a number of pairs.",
            "A share was asked for.",
            "How many pairs are there altogether?",
        ),
        Mistake(
            lambda seen, unseen: _shares(seen, unseen)[0] - _shares(seen, unseen)[2],
            "You take off the pairs in which the unseen row scores higher.",
            "Then a coin gets 0. We want 0.5 for it.",
            "What should come out if all scores are equal?",
        ),
    ],
    shows="0.5 is a coin, and you'd be surprised how often it's a coin.",
)

# --- 16.5 ---------------------------------------------------------------------------------------------------


def my_limit(tries):
    """The rate at which none in so many tries would happen in 5 of 100 cases."""
    return 1 - 0.05 ** (1 / tries)


exercise(
    "16.5",
    title="None in a thousand",
    prompt="Write my_limit(tries): a secret came out in none of `tries` independent tries. At a rate p, that happens "
    "with a chance of (1 − p) to the power of `tries`. Return the p at which this chance is 0.05: the largest rate "
    "that the result doesn't make implausible.",
    minutes=3,
    difficulty=2,
    importance=4,
    solution=my_limit,
    explanation="(1 − p)ⁿ = 0.05, so p = 1 − 0.05 to the power of 1/n. For many tries that's about 3/n: none in 1,000 "
    "leaves room for three in 1,000.",
    cases=lambda: [Case(1000), Case(10), Case(1)],
    hints=[
        "Write down (1 − p)ⁿ = 0.05, and solve it for p.",
        "Take the n-th root on both sides: 1 − p = 0.05 to the power of 1/n.",
        "1 - 0.05 ** (1 / tries)",
    ],
    mistakes=[
        Mistake(
            lambda tries: 3 / tries,
            "You use the rule of three.",
            "It's a good approximation for many tries, and for one try it gives a rate above 1.",
            "What does (1 − p)ⁿ = 0.05 give exactly?",
        ),
        Mistake(
            lambda tries: 0.05 ** (1 / tries),
            "You give 1 − p.",
            "That's the chance that nothing comes out in one try.",
            "What's missing before your root?",
        ),
        Mistake(
            lambda tries: 1 - 0.05**tries,
            "You take a power where you need a root.",
            "The chance of n misses is a power of 1 − p, so 1 − p is a root of it.",
            "What's the exponent?",
        ),
        Mistake(
            lambda tries: 1 - 0.95 ** (1 / tries),
            "You solve for a chance of 0.95.",
            "At that rate, nothing comes out nearly always. It's the smallest plausible rate, and not the largest.",
            "What should (1 − p)ⁿ be equal to?",
        ),
        Mistake(
            lambda tries: 0.05 / tries,
            "You divide 0.05 by the tries.",
            "That's a rate at which a hit would be rare in all tries together.",
            "What's (1 − p)ⁿ at your p?",
        ),
        Mistake(
            lambda tries: 1 / tries,
            "You give the rate of one hit in so many tries.",
            "At that rate, nothing comes out in more than a third of all cases, which isn't implausible.",
            "What's (1 − p)ⁿ at your p?",
        ),
        Mistake(
            lambda tries: 0.0,
            "You take none for never.",
            "A rare thing can stay away for a while.",
            "Which rates would you rule out after one try?",
        ),
        Mistake(
            lambda tries: 1 - 0.025 ** (1 / tries),
            "You take half of 0.05, as for an interval with two ends.",
            "That's a stricter limit. Here only one end is asked for, with a chance of 0.05.",
            "What should (1 − p)ⁿ be equal to?",
        ),
    ],
    shows="None is a number of tries, and not a proof.",
)
