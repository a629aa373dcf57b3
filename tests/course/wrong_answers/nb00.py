"""Wrong answers to notebook 00's exercises; the package says what a tuple holds."""

WRONG = [
    ("00.1", "lambda trained, total: total / trained", "how often does it fit", True),
    ("00.1", "lambda trained, total: trained // total", "// is how Python divides", True),
    ("00.1", "lambda trained, total: 100 * trained / total", "a share is in percent", True),
    ("00.1", "lambda trained, total: trained / (total - trained)", "trained beside the frozen ones", True),
    ("00.1", "lambda trained, total: trained / (trained + total)", "total doesn't include the trained ones", True),
    ("00.1", "lambda trained, total: (total - trained) / total", "the share that's frozen", True),
    ("00.1", "lambda trained, total: round(trained / total)", "rounded to be neat", True),
    ("00.1", "lambda trained, total: round(trained / total, 2)", "two digits are enough", True),
    ("00.1", "lambda trained, total: total - trained", "the difference", True),
    ("00.1", "lambda trained, total: trained * total", "share means times", True),
    ("00.1", "lambda trained, total: trained", "trained is the share", True),
    ("00.1", "lambda trained, total: 0.25", "the hint's number", True),
    ("00.1", "lambda trained, total: f'{100 * trained / total:.2f} %'", "a text for people"),
    ("00.1", "lambda trained, total: int(trained / total)", "numbers are whole", True),
    ("00.1", "lambda trained, total: (trained / total) ** 0.5", "size is the root"),
    ("00.1", "lambda trained, total: 1 - total / trained", "one minus the wrong way round"),
    ("00.1", "lambda trained, total: trained / total / 100", "percent, the wrong way"),
    ("00.1", "lambda trained, total: trained / 134_515_008", "the base of the page"),
    ("00.1", "def my_share(trained, total):\n    print(trained / total)", "print shows the answer"),
    ("00.1", "def my_share(trained, total):\n    share = trained / total", "no return"),
    ("00.1", "def my_share(trained, total):\n    return trained % total", "% is for percent", True),
    ("00.1", "def my_share(trained, total):\n    return str(trained / total)", "a number as text"),
    ("00.1", "1 / 4", "a number, not a function"),
    ("00.1", "lambda total, trained: trained / total", "arguments the other way round", True),
    ("00.1", "lambda trained, total: len(trained) / len(total)", "they're lists"),
    ("00.2", "[True, True, True, True]", "the example", True),
    ("00.2", "[False, False, False, False]", "none", True),
    ("00.2", "[False, False, True, False]", "0.34 is above 0.005", True),
    ("00.2", "[True, True, True, False]", "12 is about 10, times differ", True),
    ("00.2", "[True, False, True, True]", "a half is above a half", True),
    ("00.2", "[False, False, True, True]", "percent forgotten, and at the bound", True),
    ("00.2", "[True, True, True, True,]", "the example, with a comma", True),
    ("00.2", "[True, False, False, False]", "equals is never exact", True),
    ("00.2", "[False, True, False, True]", "the opposite of each", True),
    ("00.2", "[True, True, False, False]", "the first two", True),
    ("00.2", "[False, True, True, False]", "percent forgotten, and below read as above", True),
    ("00.2", "[False, True, False, False]", "only the second", True),
    ("00.2", "[True, True, False, True]", "≈ all hold", True),
    ("00.2", "[False, True, True, True]", "all but the first", True),
    ("00.2", "[False, False, False, True]", "only the last", True),
    ("00.2", "['True', 'False', 'True', 'False']", "words in quotes", True),
    ("00.2", "['first', 'third']", "which claims", True),
    ("00.2", "[1, 3]", "their numbers", True),
    ("00.2", "[0, 2]", "their places", True),
    ("00.2", "True", "one answer"),
    ("00.2", "[True, False, True]", "three of four"),
    ("00.2", "'True, False, True, False'", "a text", True),
    ("00.2", "['yes', 'no', 'yes', 'no']", "yes and no"),
    ("00.2", "[0.0034 < 0.005, 12 < 10, 30 == 30, 0.5 >= 0.5]", "at the bound is enough, computed", True),
    ("00.2", "[0.34 < 0.005, 12 < 10, 30 == 30, 0.5 > 0.5]", "computed, without the percent", True),
    ("00.2", "[0.0034, 12, 30, 0.5]", "the measured values"),
    ("00.2", "lambda: [True, False, True, True]", "a function, and wrong"),
    ("00.2", "[]", "empty"),
    ("00.3", "lambda answers, wanted: sum(a in w for a, w in zip(answers, wanted)) / len(wanted)", "a is in it", True),
    (
        "00.3",
        "lambda answers, wanted: sum(w in a for a, w in zip(answers, wanted)) / len(wanted)",
        "it's in the answer",
        True,
    ),
    ("00.3", "lambda answers, wanted: sum(a in wanted for a in answers) / len(wanted)", "anywhere in the list", True),
    ("00.3", "lambda answers, wanted: answers == wanted", "compare the lists", True),
    ("00.3", "lambda answers, wanted: sum(a == w for a, w in zip(answers, wanted))", "the number of right ones", True),
    (
        "00.3",
        "lambda answers, wanted: 100 * sum(a == w for a, w in zip(answers, wanted)) / len(wanted)",
        "percent",
        True,
    ),
    ("00.3", "lambda answers, wanted: sum(a == w for a, w in zip(answers, wanted)) // len(wanted)", "// divides", True),
    ("00.3", "lambda answers, wanted: len(set(answers) & set(wanted)) / len(wanted)", "sets", True),
    (
        "00.3",
        "lambda answers, wanted: sum(a.strip() == w.strip() for a, w in zip(answers, wanted)) / len(wanted)",
        "spaces don't count",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a.lower() == w.lower() for a, w in zip(answers, wanted)) / len(wanted)",
        "capitals don't count",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a is w for a, w in zip(answers, wanted)) / len(wanted)",
        "is, like in English",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(x == y for a, w in zip(answers, wanted) for x, y in zip(a, w))"
        " / sum(map(len, wanted))",
        "letter by letter means share of letters",
    ),
    ("00.3", "lambda answers, wanted: sum(a != w for a, w in zip(answers, wanted)) / len(wanted)", "the errors", True),
    (
        "00.3",
        "lambda answers, wanted: sum(a == w for a in answers for w in wanted) / len(wanted)",
        "two loops",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a == w for a in answers for w in wanted) / (len(answers) * len(wanted))",
        "two loops, all pairs",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            right = 0
            for a, w in zip(answers, wanted):
                if a == w:
                    right += 1
                return right / len(wanted)
        """,
        "return inside the loop",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            for a, w in zip(answers, wanted):
                if a == w:
                    return True
                else:
                    return False
        """,
        "true or false for the first",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            right = 0
            for i in range(1, len(answers)):
                if answers[i] == wanted[i]:
                    right += 1
            return right / len(answers)
        """,
        "counting from 1",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            right = 0
            for i in range(len(answers) - 1):
                right += answers[i] == wanted[i]
            return right / len(answers)
        """,
        "the last is at len - 1",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            right = 0
            for a, w in zip(answers, wanted):
                if a == w:
                    right = 1
            return right / len(answers)
        """,
        "= for +=",
        True,
    ),
    (
        "00.3",
        """
        def my_exact(answers, wanted):
            right = 0
            for a, w in zip(answers, wanted):
                if a == w:
                    right += 1
            print(right / len(answers))
        """,
        "print shows it",
    ),
    ("00.3", "lambda answers, wanted: [a == w for a, w in zip(answers, wanted)]", "one verdict each", True),
    ("00.3", "lambda answers, wanted: 1.0 if answers == wanted else 0.0", "all or nothing", True),
    ("00.3", "lambda answers, wanted: sum(len(a) == len(w) for a, w in zip(answers, wanted)) / len(wanted)", "length"),
    (
        "00.3",
        "lambda answers, wanted: sum(w.startswith(a) for a, w in zip(answers, wanted)) / len(wanted)",
        "start",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a == w for a, w in zip(sorted(answers), sorted(wanted))) / len(wanted)",
        "sorted first, to find the pairs",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a == w for a, w in zip(set(answers), set(wanted))) / len(set(wanted))",
        "without repeats",
    ),
    (
        "00.3",
        "lambda answers, wanted: sum(a == w for a, w in zip(answers, wanted)) / (len(answers) + len(wanted))",
        "two lists, so two lengths",
        True,
    ),
    (
        "00.3",
        "lambda answers, wanted: round(sum(a == w for a, w in zip(answers, wanted)) / len(wanted), 1)",
        "rounded",
    ),
    ("00.1", "lambda t, n: t / n * 100.0", "percent, as a float", True),
    ("00.1", "lambda t, n: math.floor(t / n)", "math.floor is for shares", True),
    ("00.1", "lambda t, n: round(100 * t / n)", "a whole percent"),
    ("00.1", "lambda t,n: 1 - t / n", "one minus the right share", True),
    ("00.1", "lambda t,n: math.ceil(t / n)", "at least one"),
    ("00.3", "lambda a, w: sum(x in w for x in a)", "how many were wanted somewhere"),
    ("00.3", "lambda a, w: len([x for x in a if x in w]) / len(a)", "those found in wanted", True),
    ("00.3", "lambda a, w: sum(x == y for x, y in zip(a, reversed(w))) / len(w)", "one list from its end"),
    ("00.3", "lambda a, w: a.count(w) / len(a)", "count finds the wanted"),
    ("00.3", "lambda a, w: sum(x[0] == y[0] for x, y in zip(a, w)) / len(w)", "the first letter tells"),
    (
        "00.3",
        """
        def f(a, w):
            right = 0
            for x in a:
                for y in w:
                    if x == y:
                        right += 1
            return right / len(a)
        """,
        "two loops that count",
        True,
    ),
    (
        "00.3",
        """
        def f(a, w):
            n = 0
            for i in range(len(a)):
                if a[i] == w[i]:
                    n + 1
            return n / len(a)
        """,
        "n + 1 counts",
    ),
    (
        "00.3",
        """
        def f(a, w):
            n = 0
            for i in range(len(a)):
                if a[i] == w[i]:
                    n += 1
                else:
                    n -= 1
            return n / len(a)
        """,
        "an error costs a point",
    ),
    (
        "00.3",
        """
        def f(a, w):
            for x, y in zip(a, w):
                if x != y:
                    return 0.0
            return 1.0
        """,
        "one error and it's 0",
        True,
    ),
    ("00.3", "lambda a, w: int(all(x == y for x, y in zip(a, w)))", "all() is the score", True),
    ("00.3", "lambda a, w: set(a) == set(w)", "the same set"),
]
