"""Wrong answers to notebook 06's exercises; the package says what a tuple holds."""


def tfidf(weights, idf="((1 + len(known)) / (1 + df)).log() + 1", df="(known > 0).sum(0)", last="F.normalize(weights)"):
    return f"def my_tfidf(counts, known):\n    df = {df}\n    idf = {idf}\n    weights = {weights}\n    return {last}"


def interval(*lines):
    return "\n    ".join(["def my_interval(ours, theirs, draws):", *lines])


def leaks(test, over="enumerate(test)", kept="i"):
    return f"lambda train, test: [{kept} for i, text in {over} if {test}]"


def macro(*lines):
    return "\n    ".join(["def my_macro_f1(answers, wanted):", *lines])


TF = "torch.where(counts > 0, 1 + counts.clamp(min=1).log(), 0.0)"
DRAWN = "means = (ours - theirs)[draws].mean(1)"
EACH = "any(3 * len(text & other) >= min(len(text), len(other)) for other in train)"
COUNTED = [
    "scores = []",
    "for label in set(wanted):",
    "    right = sum(a == label and w == label for a, w in zip(answers, wanted))",
]

WRONG = [
    ("06.1", tfidf(f"{TF} * idf", df="(counts > 0).sum(0)"), "the asked texts' own frequencies", True),
    (
        "06.1",
        tfidf(f"{TF} * idf", "((1 + len(counts)) / (1 + df)).log() + 1", "(counts > 0).sum(0)"),
        "idf of the asked texts",
        True,
    ),
    ("06.1", tfidf(f"{TF} * idf", df="known.sum(0)"), "all occurrences", True),
    ("06.1", tfidf(f"{TF} * idf", df="(known > 0).sum(1)"), "words per text"),
    ("06.1", tfidf(f"{TF} * idf", "((1 + len(counts)) / (1 + df)).log() + 1"), "n of the asked", True),
    ("06.1", tfidf(f"{TF} * idf", "(len(known) / df).log() + 1"), "not smoothed", True),
    ("06.1", tfidf(f"{TF} * idf", "(len(known) / (1 + df)).log() + 1"), "half smoothed"),
    ("06.1", tfidf(f"{TF} * idf", "((1 + len(known)) / (1 + df)).log()"), "no one at the end", True),
    ("06.1", tfidf(f"{TF} * idf", "(1 + (1 + len(known)) / (1 + df)).log()"), "the one inside"),
    ("06.1", tfidf(f"{TF} * idf", "((1 + df) / (1 + len(known))).log() + 1"), "upside down", True),
    ("06.1", tfidf(f"{TF} / idf"), "divided by idf", True),
    ("06.1", tfidf(f"{TF} * df"), "times df"),
    ("06.1", tfidf(TF), "no idf", True),
    ("06.1", tfidf(f"{TF} + idf"), "added"),
    ("06.1", tfidf("counts * idf"), "plain counts", True),
    ("06.1", tfidf("counts / counts.sum(1, keepdim=True) * idf"), "the share of the text"),
    ("06.1", tfidf("torch.log1p(counts) * idf"), "ln(1 + count)", True),
    ("06.1", tfidf("torch.log(1 + counts) * idf"), "ln(1 + count), spelled out", True),
    ("06.1", tfidf("(1 + counts.log()) * idf"), "the log of zero", True),
    ("06.1", tfidf("torch.where(counts > 0, counts.clamp(min=1).log(), 0.0) * idf"), "ln without 1"),
    ("06.1", tfidf("(counts > 0) * idf"), "whether it's there", True),
    ("06.1", tfidf("(counts > 0).float() * idf"), "whether it's there, as a float", True),
    ("06.1", tfidf("(1 + counts.clamp(min=1).log()) * idf"), "absent words weigh one", True),
    ("06.1", tfidf(f"{TF} * idf", last="weights"), "no length", True),
    ("06.1", tfidf(f"{TF} * idf", last="weights / weights.norm(dim=1, keepdim=True)"), "zero by zero", True),
    ("06.1", tfidf(f"{TF} * idf", last="weights / weights.norm()"), "the length of all"),
    ("06.1", tfidf(f"{TF} * idf", last="F.normalize(weights, dim=0)"), "columns", True),
    ("06.1", tfidf(f"{TF} * idf", last="F.normalize(weights, p=1)"), "sums to one", True),
    ("06.1", tfidf(f"{TF} * idf", last="weights.softmax(1)"), "a softmax"),
    (
        "06.1",
        tfidf(
            "torch.where(counts > 0, 1 + counts.clamp(min=1).log2(), 0.0) * idf",
            "((1 + len(known)) / (1 + df)).log2() + 1",
        ),
        "base 2",
        True,
    ),
    (
        "06.1",
        tfidf(
            "torch.where(counts > 0, 1 + counts.clamp(min=1).log10(), 0.0) * idf",
            "((1 + len(known)) / (1 + df)).log10() + 1",
        ),
        "base 10",
        True,
    ),
    ("06.1", tfidf(f"{TF.replace('counts', 'known')} * idf"), "the training texts' vectors", True),
    # ---------------------------------------------------------------------------------------------------- 06.2
    (
        "06.2",
        interval(
            "a, b = ours[draws].mean(1), theirs[draws].mean(1)",
            "return a.quantile(0.025) - b.quantile(0.975), a.quantile(0.975) - b.quantile(0.025)",
        ),
        "two intervals, apart",
        True,
    ),
    (
        "06.2",
        interval(
            "a, b = ours[draws].mean(1), theirs[draws].mean(1)",
            "return a.quantile(0.025) - b.quantile(0.025), a.quantile(0.975) - b.quantile(0.975)",
        ),
        "end by end",
        True,
    ),
    ("06.2", interval("d = (ours - theirs)[draws]", "return d.quantile(0.025), d.quantile(0.975)"), "rows", True),
    (
        "06.2",
        interval("means = (ours - theirs)[draws].mean(0)", "return means.quantile(0.025), means.quantile(0.975)"),
        "the other dimension",
        True,
    ),
    (
        "06.2",
        interval("means = (theirs - ours)[draws].mean(1)", "return means.quantile(0.025), means.quantile(0.975)"),
        "theirs − ours",
        True,
    ),
    (
        "06.2",
        interval("means = ours[draws].mean(1)", "return means.quantile(0.025), means.quantile(0.975)"),
        "ours alone",
        True,
    ),
    ("06.2", interval(DRAWN, "return means.quantile(0.05), means.quantile(0.95)"), "five at each end", True),
    ("06.2", interval(DRAWN, "return means.quantile(0.005), means.quantile(0.995)"), "99 percent"),
    ("06.2", interval(DRAWN, "return means.quantile(0.25), means.quantile(0.75)"), "quartiles"),
    ("06.2", interval(DRAWN, "return means.min(), means.max()"), "all of it", True),
    ("06.2", interval(DRAWN, "return means.quantile(0.975), means.quantile(0.025)"), "high first", True),
    ("06.2", interval(DRAWN, "return means.mean() - 1.96 * means.std(), means.mean() + 1.96 * means.std()"), "normal"),
    (
        "06.2",
        interval(
            "d = ours - theirs",
            "half = 1.96 * d.std() / math.sqrt(len(d))",
            "return d.mean() - half, d.mean() + half",
        ),
        "a formula",
        True,
    ),
    (
        "06.2",
        interval("d = ours - theirs", "return d.mean() - 1.96 * d.std(), d.mean() + 1.96 * d.std()"),
        "the spread of rows",
    ),
    ("06.2", interval(DRAWN, "return means.mean()"), "the mean"),
    ("06.2", interval(DRAWN, "return means.quantile(0.975) - means.quantile(0.025)"), "how wide"),
    (
        "06.2",
        interval("means = (ours - theirs).abs()[draws].mean(1)", "return means.quantile(0.025), means.quantile(0.975)"),
        "no sign",
        True,
    ),
    (
        "06.2",
        interval("sums = (ours - theirs)[draws].sum(1)", "return sums.quantile(0.025), sums.quantile(0.975)"),
        "sums",
        True,
    ),
    (
        "06.2",
        interval("means = ours[draws].mean(1) - theirs.mean()", "return means.quantile(0.025), means.quantile(0.975)"),
        "only ours is drawn",
    ),
    (
        "06.2",
        interval(
            "means = ours[draws].mean(1) - theirs[draws.flip(0)].mean(1)",
            "return means.quantile(0.025), means.quantile(0.975)",
        ),
        "two drawings",
    ),
    # ---------------------------------------------------------------------------------------------------- 06.3
    ("06.3", leaks("text in train"), "the same", True),
    ("06.3", leaks("any(text == other for other in train)"), "the same, by hand", True),
    ("06.3", leaks("any(text & other for other in train)"), "anything shared", True),
    ("06.3", leaks("any(3 * len(text & other) >= len(text) for other in train)"), "of the test text", True),
    ("06.3", leaks("any(3 * len(text & other) >= len(other) for other in train)"), "of the training text", True),
    (
        "06.3",
        leaks("any(3 * len(text & other) >= max(len(text), len(other)) for other in train)"),
        "the longer",
        True,
    ),
    ("06.3", leaks("any(len(text & other) / len(text | other) >= 1 / 3 for other in train)"), "Jaccard", True),
    (
        "06.3",
        leaks("any(3 * len(text & other) > min(len(text), len(other)) for other in train)"),
        "more than a third",
        True,
    ),
    (
        "06.3",
        leaks("any(len(text & other) / min(len(text), len(other)) > 0.34 for other in train)"),
        "0.34 for a third",
        True,
    ),
    (
        "06.3",
        leaks("any(len(text & other) // min(len(text), len(other)) >= 1 / 3 for other in train)"),
        "// for /",
        True,
    ),
    ("06.3", leaks("any(text.issubset(other) for other in train)"), "all of it is there"),
    ("06.3", leaks("any(text <= other or other <= text for other in train)"), "one in the other", True),
    ("06.3", leaks("all(3 * len(text & other) >= min(len(text), len(other)) for other in train)"), "all", True),
    (
        "06.3",
        leaks("any(2 * len(text & other) >= min(len(text), len(other)) for other in train)"),
        "half of it",
        True,
    ),
    ("06.3", leaks("any(len(text & other) >= 3 for other in train)"), "three triples"),
    ("06.3", leaks(EACH, kept="text"), "the texts", True),
    ("06.3", leaks(EACH, over="enumerate(test, 1)"), "from one", True),
    ("06.3", f"lambda train, test: [{EACH} for text in test]", "true or false", True),
    ("06.3", f"lambda train, test: len([text for text in test if {EACH}])", "how many", True),
    ("06.3", f"lambda train, test: len([text for text in test if {EACH}]) / len(test)", "the share"),
    ("06.3", leaks(f"not {EACH}"), "those that are fine", True),
    (
        "06.3",
        "lambda train, test: [i for i, text in enumerate(train) "
        "if any(3 * len(text & other) >= min(len(text), len(other)) for other in test)]",
        "the training texts",
        True,
    ),
    (
        "06.3",
        "lambda train, test: [i for i, text in enumerate(test) if 3 * len(text & set.union(*train)) >= len(text)]",
        "all training texts together",
        True,
    ),
    (
        "06.3",
        "lambda train, test: [i for i, (text, other) in enumerate(zip(test, train)) "
        "if 3 * len(text & other) >= min(len(text), len(other))]",
        "side by side",
    ),
    # ---------------------------------------------------------------------------------------------------- 06.4
    ("06.4", "lambda answers, wanted: sum(a == w for a, w in zip(answers, wanted)) / len(wanted)", "accuracy", True),
    (
        "06.4",
        macro(*COUNTED, "    scores.append(right / wanted.count(label))", "return sum(scores) / len(scores)"),
        "recall",
        True,
    ),
    (
        "06.4",
        macro(*COUNTED, "    scores.append(right / max(1, answers.count(label)))", "return sum(scores) / len(scores)"),
        "precision",
        True,
    ),
    (
        "06.4",
        macro(*COUNTED, "    scores.append(right / answers.count(label))", "return sum(scores) / len(scores)"),
        "precision of what's never given",
        True,
    ),
    (
        "06.4",
        macro(
            *COUNTED,
            "    scores.append(right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(scores)",
        ),
        "no 2",
        True,
    ),
    (
        "06.4",
        macro(
            *COUNTED,
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores)",
        ),
        "the sum",
        True,
    ),
    (
        "06.4",
        macro(
            *COUNTED,
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(wanted)",
        ),
        "by the rows",
        True,
    ),
    (
        "06.4",
        macro(*COUNTED, "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))", "return scores"),
        "a list of scores",
    ),
    (
        "06.4",
        macro(
            "scores = {}",
            *COUNTED[1:],
            "    scores[label] = 2 * right / (answers.count(label) + wanted.count(label))",
            "return scores",
        ),
        "a dict of scores",
        True,
    ),
    (
        "06.4",
        macro(
            *COUNTED,
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return min(scores)",
        ),
        "the worst",
        True,
    ),
    (
        "06.4",
        macro(
            "scores = []",
            "for label in set(answers):",
            *COUNTED[2:],
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(scores)",
        ),
        "the labels given",
        True,
    ),
    (
        "06.4",
        macro(
            "scores = []",
            "for label in set(answers + wanted):",
            *COUNTED[2:],
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(scores)",
        ),
        "all labels",
        True,
    ),
    (
        "06.4",
        macro(
            "scores = []",
            "for label in wanted:",
            *COUNTED[2:],
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(scores)",
        ),
        "without set",
        True,
    ),
    (
        "06.4",
        macro(
            "scores = []",
            "for label in set(wanted):",
            "    if label not in answers:",
            "        continue",
            *COUNTED[2:],
            "    scores.append(2 * right / (answers.count(label) + wanted.count(label)))",
            "return sum(scores) / len(scores)",
        ),
        "what's never given is skipped",
        True,
    ),
    (
        "06.4",
        macro(
            "recalls, precisions = [], []",
            *COUNTED[1:],
            "    recalls.append(right / wanted.count(label))",
            "    precisions.append(right / max(1, answers.count(label)))",
            "r, p = sum(recalls) / len(recalls), sum(precisions) / len(precisions)",
            "return 2 * p * r / (p + r)",
        ),
        "the F1 of means",
        True,
    ),
    (
        "06.4",
        macro(*COUNTED, "    scores.append(2 * right / len(wanted))", "return sum(scores) / len(scores)"),
        "of all rows",
    ),
]

RIGHT = [
    (
        "06.1",
        "def my_tfidf(counts, known):\n    n, df = known.shape[0], torch.count_nonzero(known, dim=0)\n"
        "    w = torch.zeros_like(counts)\n    there = counts != 0\n    w[there] = 1 + torch.log(counts[there])\n"
        "    w = w * (torch.log((n + 1) / (df + 1)) + 1)\n    return w / w.norm(dim=1, keepdim=True).clamp(min=1e-12)",
        "step by step",
    ),
    (
        "06.2",
        interval("means = (ours[draws] - theirs[draws]).mean(dim=-1)", "return means.quantile(0.025).item(), "
                 "float(torch.quantile(means, 0.975))"),
        "drawn, then subtracted",
    ),
    (
        "06.2",
        interval("means = ours[draws].mean(1) - theirs[draws].mean(1)",
                 "return list(means.quantile(torch.tensor([0.025, 0.975])))"),
        "means of the same drawing",
    ),
    ("06.3", leaks("max(len(text & other) / min(len(text), len(other)) for other in train) >= 1 / 3"), "the largest"),
    (
        "06.4",
        macro(
            *COUNTED,
            "    if right == 0:",
            "        scores.append(0)",
            "        continue",
            "    p, r = right / answers.count(label), right / wanted.count(label)",
            "    scores.append(2 * p * r / (p + r))",
            "return torch.tensor(scores).double().mean()",
        ),
        "by precision and recall",
    ),
]  # fmt: skip
