"""Wrong answers to notebook 16's exercises; the package says what a tuple holds."""


def shift(*lines):
    return "\n    ".join(["def my_shift(on, off, head):", *lines])


def exposure(body):
    return f"lambda own, others: {body}"


def anonymized(*lines):
    return "\n    ".join(["def my_anonymized(text):", *lines])


def replaced(pattern, number="len(known) + 1"):
    return anonymized(
        "known = {}",
        f'return re.sub(r"{pattern}", lambda found: known.setdefault(found[0], f"[EMAIL {{{number}}}]"), text)',
    )


def auc(body):
    return f"lambda seen, unseen: {body}"


def limit(body):
    return f"lambda tries: {body}"


ADDRESS = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
CHANGES = "changes = [a - b for a, b in zip(on, off)]"
RANK = "1 + (others <= own).sum()"

WRONG = [
    ("16.1", shift(CHANGES, "return head @ torch.stack([c.mean(0) for c in changes]).mean(0)"), "first too", True),
    ("16.1", shift(CHANGES, "return head @ torch.cat([c[1:] for c in changes]).mean(0)"), "all tokens alike", True),
    ("16.1", shift(CHANGES, "return head @ torch.cat(changes).mean(0)"), "all tokens, the first ones too"),
    (
        "16.1",
        shift("return head @ torch.stack([(b - a)[1:].mean(0) for a, b in zip(on, off)]).mean(0)"),
        "off minus on",
        True,
    ),
    ("16.1", shift(CHANGES, "return torch.stack([c[1:].mean(0) for c in changes]).mean(0)"), "no head", True),
    (
        "16.1",
        shift(CHANGES, "return head.T @ torch.stack([c[1:].mean(0) for c in changes]).mean(0)"),
        "the head turned",
        True,
    ),
    (
        "16.1",
        shift(CHANGES, "return torch.stack([c[1:].mean(0) for c in changes]).mean(0) @ head"),
        "the head on the other side",
    ),
    ("16.1", shift(CHANGES, "return head @ torch.stack([c[-1] for c in changes]).mean(0)"), "last tokens", True),
    ("16.1", shift(CHANGES, "return head @ torch.stack([c[0] for c in changes]).mean(0)"), "first tokens only"),
    ("16.1", shift(CHANGES, "return head @ torch.stack([c[1:].sum(0) for c in changes]).mean(0)"), "sum", True),
    ("16.1", shift(CHANGES, "return head @ sum(c[1:].mean(0) for c in changes)"), "not divided by the texts", True),
    (
        "16.1",
        shift("return head @ torch.stack([a[1:].mean(0) for a in on]).mean(0)"),
        "the adapted model's states",
        True,
    ),
    ("16.1", shift("return head @ (on[0] - off[0])[1:].mean(0)"), "one text is enough"),
    (
        "16.1",
        shift(CHANGES, "return head @ torch.stack([c[1:].abs().mean(0) for c in changes]).mean(0)"),
        "how much it changes",
        True,
    ),
    ("16.1", shift(CHANGES, "return (head @ torch.stack([c[1:].mean(0) for c in changes]).mean(0)).softmax(0)"), "p"),
    ("16.1", shift("return head @ (on - off)[1:].mean(0)"), "lists can't be subtracted"),
    (
        "16.1",
        shift(CHANGES, "return torch.stack([head @ c[1:].mean(0) for c in changes])"),
        "one shift per text",
    ),
    ("16.2", exposure("math.log2(1 + len(others)) - math.log2(1 + (others < own).sum())"), "ties for us", True),
    ("16.2", exposure("math.log2(1 + len(others)) - math.log2(1 + (others > own).sum())"), "more surprising"),
    ("16.2", exposure("math.log2(1 + len(others)) - math.log2(1 + (others >= own).sum())"), "at least as much", True),
    ("16.2", exposure(f"math.log2(len(others)) - math.log2({RANK})"), "the others are all", True),
    ("16.2", exposure(f"math.log(1 + len(others)) - math.log({RANK})"), "nats", True),
    ("16.2", exposure(f"math.log10(1 + len(others)) - math.log10({RANK})"), "digits"),
    ("16.2", exposure(f"math.log2({RANK})"), "bits of the rank", True),
    ("16.2", exposure(f"{RANK}"), "the rank", True),
    ("16.2", exposure(f"(1 + len(others)) / ({RANK})"), "how many times fewer", True),
    ("16.2", exposure(f"math.log2({RANK}) - math.log2(1 + len(others))"), "the other way round", True),
    ("16.2", exposure("others.mean() - own"), "how much less surprised", True),
    ("16.2", exposure("others.min() - own"), "the margin"),
    ("16.2", exposure("math.log2(1 + len(others)) - own"), "bits minus bits", True),
    ("16.2", exposure("math.log2(1 + len(others)) - math.log2((others <= own).sum())"), "ranks from zero break"),
    ("16.2", exposure("math.log2(1 + len(others)) - math.log2(max(1, (others <= own).sum()))"), "from zero", True),
    ("16.2", exposure("(others > own).double().mean()"), "the share it beats"),
    ("16.2", exposure(f"math.log2(65536) - math.log2({RANK})"), "always 16 bits"),
    ("16.2", exposure("-math.log2((others <= own).double().mean())"), "minus log of the share"),
    ("16.3", replaced(r"[\w.+-]+@[\w.-]+"), "periods anywhere", True),
    ("16.3", replaced(r"\w+@\w+\.\w+"), "letters and one period", True),
    ("16.3", replaced(r"[\w.+-]+@[\w-]+\.[\w-]+"), "two parts", True),
    ("16.3", replaced(r"\S+@\S+"), "no spaces", True),
    ("16.3", replaced(r"[a-z.]+@[a-z.]+[a-z]"), "letters only"),
    ("16.3", replaced(r"[\w.+-]+@[\w-]+(\.com|\.org)"), "dot com"),
    ("16.3", replaced(ADDRESS, "len(known)"), "from zero", True),
    ("16.3", anonymized(f'return re.sub(r"{ADDRESS}", "[EMAIL]", text)'), "one for all", True),
    ("16.3", anonymized(f'return re.sub(r"{ADDRESS}", "[EMAIL 1]", text)'), "all the first", True),
    ("16.3", anonymized(f'return re.sub(r"{ADDRESS}", "", text)'), "gone", True),
    ("16.3", anonymized(f'return re.sub(r"{ADDRESS}", "[EMAIL 1]", text, count=1)'), "the first only", True),
    (
        "16.3",
        anonymized(
            "count = 0",
            "def number(found):",
            "    nonlocal count",
            "    count += 1",
            '    return f"[EMAIL {count}]"',
            f'return re.sub(r"{ADDRESS}", number, text)',
        ),
        "a new number for each",
        True,
    ),
    (
        "16.3",
        anonymized(
            f'for number, each in enumerate(dict.fromkeys(re.findall(r"{ADDRESS}", text))):',
            '    text = text.replace(each, f"[EMAIL {number + 1}]")',
            "return text",
        ),
        "one after the other",
        True,
    ),
    (
        "16.3",
        anonymized(
            f'for number, each in enumerate(set(re.findall(r"{ADDRESS}", text))):',
            '    text = text.replace(each, f"[EMAIL {number + 1}]")',
            "return text.lower()",
        ),
        "everything small",
    ),
    (
        "16.3",
        anonymized(
            "known = {}",
            "words = text.split()",
            'return " ".join(known.setdefault(w, f"[EMAIL {len(known) + 1}]") if "@" in w else w for w in words)',
        ),
        "by words",
        True,
    ),
    ("16.3", anonymized(f'return re.findall(r"{ADDRESS}", text)'), "the addresses themselves"),
    ("16.3", anonymized(f'print(re.sub(r"{ADDRESS}", "[EMAIL 1]", text))'), "printed"),
    ("16.4", auc("(seen[:, None] > unseen[None]).double().mean()"), "ties for nothing", True),
    ("16.4", auc("(seen[:, None] >= unseen[None]).double().mean()"), "ties in full", True),
    (
        "16.4",
        auc("((seen[:, None] < unseen[None]).double() + 0.5 * (seen[:, None] == unseen[None])).mean()"),
        "unseen higher",
        True,
    ),
    ("16.4", auc("(seen[: len(unseen)] > unseen[: len(seen)]).double().mean()"), "side by side", True),
    ("16.4", auc("(seen > unseen).double().mean()"), "shapes don't fit"),
    ("16.4", auc("seen.mean() - unseen.mean()"), "difference of means", True),
    ("16.4", auc("(seen > unseen.mean()).double().mean()"), "above their mean", True),
    ("16.4", auc("(seen > unseen.max()).double().mean()"), "above all of them", True),
    ("16.4", auc("(seen[:, None] > unseen[None]).double().sum()"), "a count", True),
    ("16.4", auc("(seen[:, None] - unseen[None]).sign().mean()"), "signs", True),
    ("16.4", auc("(seen > torch.cat([seen, unseen]).median()).double().mean()"), "above the median"),
    ("16.4", auc("seen.mean() / (seen.mean() + unseen.mean())"), "a share of means"),
    ("16.4", auc("0.5"), "a coin"),
    ("16.4", auc("torch.sigmoid(seen[:, None] - unseen[None]).mean()"), "soft pairs"),
    ("16.5", limit("3 / tries"), "the rule of three", True),
    ("16.5", limit("0.05 ** (1 / tries)"), "without 1 −", True),
    ("16.5", limit("1 - 0.05 ** tries"), "a power", True),
    ("16.5", limit("1 - 0.95 ** (1 / tries)"), "95 %", True),
    ("16.5", limit("0.05 / tries"), "a share of 5 %", True),
    ("16.5", limit("1 / tries"), "one in so many", True),
    ("16.5", limit("0"), "none is never", True),
    ("16.5", limit("1 - 0.025 ** (1 / tries)"), "two-sided", True),
    ("16.5", limit("-math.log(0.05) / tries"), "an approximation"),
    ("16.5", limit("0.05"), "five percent"),
    ("16.5", limit("1 - math.exp(-3 / tries)"), "another approximation"),
]

RIGHT = [
    (
        "16.1",
        shift(
            "total = 0",
            "for a, b in zip(on, off):",
            "    total = total + (a[1:] - b[1:]).sum(0) / (len(a) - 1)",
            "return total @ head.T / len(on)",
        ),
        "with a loop",
    ),
    (
        "16.1",
        shift("return torch.stack([((a - b)[1:] @ head.T).mean(0) for a, b in zip(on, off)]).mean(0)"),
        "the head first, since it's linear",
    ),
    ("16.2", exposure("math.log2((1 + len(others)) / (1 + sum(1 for each in others if each <= own)))"), "a fraction"),
    ("16.2", exposure("-math.log2((1 + (others <= own).sum()) / (1 + len(others)))"), "minus log of a share"),
    (
        "16.3",
        anonymized(
            "known, out, end = {}, '', 0",
            r'for found in re.finditer(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text):',
            "    address = found.group()",
            "    if address not in known:",
            "        known[address] = '[EMAIL ' + str(len(known) + 1) + ']'",
            "    out += text[end : found.start()] + known[address]",
            "    end = found.end()",
            "return out + text[end:]",
        ),
        "piece by piece, in ASCII",
    ),
    (
        "16.4",
        auc("sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in seen for b in unseen) / (len(seen) * len(unseen))"),
        "all pairs, in Python",
    ),
    ("16.4", auc("((seen[:, None] - unseen[None]).sign().double().mean() + 1) / 2"), "signs, moved to 0 to 1"),
    ("16.5", limit("1 - math.exp(math.log(0.05) / tries)"), "by logarithms"),
]
