"""Wrong answers to notebook 05's exercises; the package says what a tuple holds."""


def overlap(body, first="torch.linalg.qr(first).Q", second="torch.linalg.qr(second).Q"):
    return f"def my_overlap(first, second):\n    P, Q = {first}, {second}\n    return {body}"


def alpha(body):
    return f"lambda alpha, r, new_r, use_rslora: {body}"


def choice(*lines):
    return "\n    ".join(["def my_choice(losses):", *lines])


def rank(body):
    return f"lambda budget, shapes, blocks: {body}"


def bits(body):
    return f"lambda loss, symbols, tokens: {body}"


ONE, OTHER = "first.shape[1]", "second.shape[1]"
LEAST = f"min({ONE}, {OTHER})"
FINISHED = "done = {rate: loss for rate, loss in losses.items() if loss is not None}"
ENDS = "return best, best == min(losses) or best == max(losses)"

WRONG = [
    ("05.1", overlap(f"(P.T @ Q).square().sum() / {LEAST}", "first", "second"), "the columns as they are", True),
    (
        "05.1",
        overlap(f"(P.T @ Q).pow(2).sum() / {LEAST}", "F.normalize(first, dim=0)", "F.normalize(second, dim=0)"),
        "length one will do",
        True,
    ),
    (
        "05.1",
        overlap(f"(P.T @ Q).pow(2).sum() / {LEAST}", "F.normalize(first)", "F.normalize(second)"),
        "normalize works on rows",
    ),
    ("05.1", overlap(f"(P.T @ Q).abs().sum() / {LEAST}"), "no squares", True),
    ("05.1", overlap(f"(P.T @ Q).sum() / {LEAST}"), "neither squares nor absolute values"),
    ("05.1", overlap(f"(P.T @ Q).sum() ** 2 / {LEAST}"), "the square of the sum"),
    ("05.1", overlap(f"(P.T @ Q).norm() / {LEAST}"), "the norm is the sum of squares", True),
    ("05.1", overlap(f"(P.T @ Q).norm() / math.sqrt({LEAST})"), "a norm, by a root", True),
    ("05.1", overlap(f"(P.T @ Q).square().sum() / max({ONE}, {OTHER})"), "by the larger one", True),
    ("05.1", overlap(f"(P.T @ Q).square().sum() / {ONE}"), "by the first", True),
    ("05.1", overlap(f"(P.T @ Q).square().sum() / {OTHER}"), "by the second", True),
    ("05.1", overlap("(P.T @ Q).square().sum() / len(first)"), "by the rows"),
    ("05.1", overlap("(P.T @ Q).square().mean()"), "the mean", True),
    ("05.1", overlap(f"(P.T @ Q).square().sum() / ({ONE} * {OTHER}) ** 0.5"), "by both, as in a cosine", True),
    ("05.1", overlap("(P.T @ Q).square().sum()"), "not divided", True),
    ("05.1", overlap("(P.T @ Q).square().max()"), "the closest pair of basis vectors"),
    ("05.1", overlap("torch.linalg.svdvals(P.T @ Q)[0]"), "the smallest angle", True),
    ("05.1", overlap("torch.linalg.svdvals(P.T @ Q).mean()"), "the mean cosine", True),
    (
        "05.1",
        overlap(f"(P.T @ Q).square().sum() / {LEAST}", "torch.linalg.svd(first).U", "torch.linalg.svd(second)[0]"),
        "U of an SVD is a basis",
        True,
    ),
    (
        "05.1",
        overlap(
            f"(P.T @ Q).square().sum() / {LEAST}",
            "torch.linalg.qr(first, mode='complete').Q",
            "torch.linalg.qr(second, mode='complete').Q",
        ),
        "the complete QR",
        True,
    ),
    (
        "05.1",
        overlap(f"(P.T @ Q).square().sum() / {LEAST}", "torch.linalg.qr(first).R", "torch.linalg.qr(second).R"),
        "R for Q",
    ),
    (
        "05.1",
        overlap(f"(P.T @ Q).square().sum() / {LEAST}", "torch.linalg.qr(first.T).Q", "torch.linalg.qr(second.T).Q"),
        "rows for columns",
    ),
    ("05.1", overlap(f"(P @ Q.T).square().sum() / {LEAST}"), "the transpose at the wrong one"),
    ("05.1", overlap("(P.T @ Q).square()"), "every pair"),
    ("05.1", overlap(f"(P.T @ Q).square().sum() / {LEAST}", second="second"), "a basis for one of them"),
    ("05.1", overlap(f"1 - (P.T @ Q).square().sum() / {LEAST}"), "a distance", True),
    ("05.1", overlap(f"torch.trace(P.T @ Q) / {LEAST}"), "only like with like"),
    ("05.1", "lambda first, second: F.cosine_similarity(first.flatten(), second.flatten(), dim=0)", "a cosine of all"),
    # ---------------------------------------------------------------------------------------------------- 05.2
    ("05.2", alpha("alpha"), "α stays", True),
    ("05.2", alpha("alpha * new_r / r"), "no rsLoRA", True),
    ("05.2", alpha("alpha * (new_r / r) ** 0.5"), "always rsLoRA", True),
    ("05.2", alpha("alpha * math.sqrt(new_r / r) if not use_rslora else alpha * new_r / r"), "swapped", True),
    ("05.2", alpha("alpha * r / new_r if not use_rslora else alpha * math.sqrt(r / new_r)"), "upside down", True),
    ("05.2", alpha("2 * new_r"), "twice the rank", True),
    ("05.2", alpha("2 * math.sqrt(new_r) if use_rslora else 2 * new_r"), "twice the rank, or its root"),
    ("05.2", alpha("alpha / math.sqrt(r) if use_rslora else alpha / r"), "the factor", True),
    ("05.2", alpha("alpha / math.sqrt(new_r) if use_rslora else alpha / new_r"), "the new factor", True),
    ("05.2", alpha("alpha * math.sqrt(new_r) if use_rslora else alpha * new_r"), "r forgotten", True),
    ("05.2", alpha("alpha * math.sqrt(new_r) / r if use_rslora else alpha * new_r / r"), "one root", True),
    ("05.2", alpha("alpha * new_r / math.sqrt(r) if use_rslora else alpha * new_r / r"), "the other root"),
    ("05.2", alpha("alpha * new_r // r if not use_rslora else alpha * math.sqrt(new_r / r)"), "// for /"),
    ("05.2", alpha("alpha * math.sqrt(new_r // r) if use_rslora else alpha * new_r / r"), "// in the root"),
    ("05.2", alpha("int(alpha * (math.sqrt(new_r / r) if use_rslora else new_r / r))"), "a whole number"),
    ("05.2", alpha("round(alpha * (math.sqrt(new_r / r) if use_rslora else new_r / r))"), "rounded", True),
    ("05.2", alpha("alpha * (new_r - r)"), "the difference"),
    ("05.2", alpha("alpha * (new_r / r) ** 2 if use_rslora else alpha * new_r / r"), "a square for a root"),
    # ---------------------------------------------------------------------------------------------------- 05.3
    ("05.3", choice("best = min(losses, key=losses.get)", ENDS), "None compares", True),
    ("05.3", choice("return min(losses, key=losses.get), False"), "None compares, and never at an end", True),
    ("05.3", choice("return max(losses), False"), "the largest rate, and never at an end", True),
    ("05.3", choice("return min(losses), False"), "the smallest rate, and never at an end", True),
    ("05.3", choice("best = sorted(losses, key=losses.get)[0]", ENDS), "None sorts", True),
    ("05.3", choice("best = min(losses.values())", ENDS), "None compares, and a loss is a rate"),
    ("05.3", choice("best = min(losses, key=lambda rate: losses[rate] or 0)", ENDS), "None is zero", True),
    (
        "05.3",
        choice(FINISHED, "best = min(done, key=done.get)", "return best, best in (min(done), max(done))"),
        "broken ones don't count",
        True,
    ),
    (
        "05.3",
        choice(
            FINISHED,
            "best = min(done, key=done.get)",
            "return best, best in (list(losses)[0], list(losses)[-1])",
        ),
        "first and last",
        True,
    ),
    (
        "05.3",
        choice(
            FINISHED,
            "best = min(done, key=done.get)",
            "rates = sorted(done)",
            "return best, best == rates[0] or best == rates[-1]",
        ),
        "sorted, without the broken ones",
        True,
    ),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best, best == max(losses)"), "upper", True),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best, best == min(losses)"), "lower", True),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best"), "the rate alone", True),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best, False"), "never at an end", True),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best, True"), "always at an end", True),
    (
        "05.3",
        choice(FINISHED, "best = min(done, key=done.get)", "return best, min(losses) < best < max(losses)"),
        "inside",
        True,
    ),
    (
        "05.3",
        choice(FINISHED, "best = min(done, key=done.get)", "return done[best], best in (min(losses), max(losses))"),
        "the loss",
        True,
    ),
    ("05.3", choice(FINISHED, "best = max(done, key=done.get)", ENDS), "the highest", True),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", "return best, None in losses.values()"), "broke", True),
    ("05.3", choice(FINISHED, "best = min(done)", ENDS), "min of a dict", True),
    (
        "05.3",
        choice(FINISHED, "best = min(done, key=done.get)", "return best in (min(losses), max(losses)), best"),
        "the other order",
        True,
    ),
    ("05.3", choice(FINISHED, "best = min(done, key=done.get)", f"print({ENDS[7:]})"), "print returns"),
    (
        "05.3",
        choice("best = min(losses, key=lambda rate: losses[rate] is None or losses[rate])", ENDS),
        "True is one",
    ),
    # ---------------------------------------------------------------------------------------------------- 05.4
    ("05.4", rank("budget // (blocks * sum(a * b for a, b in shapes))"), "the numbers of W", True),
    ("05.4", rank("budget // sum(a + b for a, b in shapes)"), "one block", True),
    ("05.4", rank("budget // (blocks * sum(2 * b for a, b in shapes))"), "all square", True),
    ("05.4", rank("budget // (blocks * sum(2 * a for a, b in shapes))"), "all square, as wide as the output", True),
    ("05.4", rank("budget // (blocks * len(shapes) * 2 * shapes[0][1])"), "all layers are like the first"),
    ("05.4", rank("budget // (blocks * sum(b for a, b in shapes))"), "A alone", True),
    ("05.4", rank("budget // (blocks * sum(a for a, b in shapes))"), "B alone", True),
    ("05.4", rank("budget / (blocks * sum(a + b for a, b in shapes))"), "a fraction", True),
    ("05.4", rank("round(budget / (blocks * sum(a + b for a, b in shapes)))"), "to the nearest", True),
    ("05.4", rank("math.ceil(budget / (blocks * sum(a + b for a, b in shapes)))"), "up", True),
    ("05.4", rank("-(-budget // (blocks * sum(a + b for a, b in shapes)))"), "up, with //", True),
    ("05.4", rank("max(1, budget // (blocks * sum(a + b for a, b in shapes)))"), "at least one", True),
    ("05.4", rank("max(budget // (blocks * sum(a + b for a, b in shapes)), 1)"), "at least 1, written backward", True),
    ("05.4", rank("budget // (blocks * max(a + b for a, b in shapes))"), "the widest", True),
    ("05.4", rank("budget // blocks // len(shapes) // max(a + b for a, b in shapes)"), "equal shares", True),
    ("05.4", rank("min(budget // (blocks * len(shapes) * (a + b)) for a, b in shapes)"), "equal shares, min", True),
    ("05.4", rank("budget * blocks // sum(a + b for a, b in shapes)"), "times blocks", True),
    ("05.4", rank("blocks * sum(a + b for a, b in shapes) // budget"), "upside down", True),
    ("05.4", rank("blocks * sum(a + b for a, b in shapes)"), "the cost of rank 1", True),
    ("05.4", rank("budget // (2 * blocks * sum(a + b for a, b in shapes))"), "A and B, twice"),
    ("05.4", rank("budget // (blocks * sum(min(a, b) for a, b in shapes))"), "the smaller side"),
    ("05.4", rank("[budget // (blocks * (a + b)) for a, b in shapes]"), "one rank per layer"),
    # ---------------------------------------------------------------------------------------------------- 05.5
    ("05.5", bits("tokens * (math.log(symbols) - loss)"), "nats", True),
    ("05.5", bits("tokens * (math.log2(symbols) - loss)"), "mixed", True),
    ("05.5", bits("tokens * (math.log2(symbols) - loss * math.log(2))"), "the wrong way", True),
    ("05.5", bits("tokens * (math.log(symbols) - loss) * math.log(2)"), "all the wrong way", True),
    ("05.5", bits("max(0, tokens * (math.log2(symbols) - loss / math.log(2)))"), "never below zero", True),
    ("05.5", bits("abs(tokens * (math.log2(symbols) - loss / math.log(2)))"), "never negative"),
    ("05.5", bits("tokens * loss / math.log(2)"), "the loss in bits", True),
    ("05.5", bits("tokens * math.log2(symbols)"), "all of it", True),
    ("05.5", bits("math.log2(symbols) - loss / math.log(2)"), "per token", True),
    ("05.5", bits("tokens * (1 - loss / math.log(symbols))"), "a share of the tokens", True),
    ("05.5", bits("1 - loss / math.log(symbols)"), "a share", True),
    ("05.5", bits("tokens * (symbols - loss / math.log(2))"), "a bit per symbol", True),
    ("05.5", bits("tokens * (math.log2(symbols) - math.exp(loss))"), "perplexity", True),
    ("05.5", bits("tokens * (math.log10(symbols) - loss / math.log(10))"), "digits", True),
    ("05.5", bits("tokens * (math.log2(symbols) - loss / math.log(2)) / 8"), "bytes", True),
    ("05.5", bits("tokens * (loss / math.log(2) - math.log2(symbols))"), "the other sign"),
    ("05.5", bits("tokens * math.log2(symbols - math.exp(loss))"), "symbols that are ruled out"),
    ("05.5", bits("tokens * (math.log2(symbols) - math.log2(loss))"), "the log of a log"),
    ("05.5", bits("tokens * math.exp(-loss) * math.log2(symbols)"), "the probability, times the bits"),
    ("05.5", bits("symbols * (math.log2(symbols) - loss / math.log(2))"), "symbols for tokens"),
]

RIGHT = [
    ("05.1", overlap(f"torch.linalg.svdvals(P.T @ Q).square().sum() / {LEAST}"), "by the angles between the spaces"),
    (
        "05.1",
        overlap(f"torch.trace(P @ P.T @ Q @ Q.T) / {LEAST}", second="torch.linalg.svd(second, full_matrices=False).U"),
        "by projections, and with an SVD",
    ),
    ("05.1", overlap(f"float((P.T @ Q).norm() ** 2) / {LEAST}"), "a plain number"),
    ("05.2", alpha("alpha / r * new_r if not use_rslora else alpha / r**0.5 * new_r**0.5"), "the factor, times"),
    (
        "05.3",
        choice(FINISHED, "rate = sorted(done, key=done.get)[0]", "return [rate, rate in {min(losses), max(losses)}]"),
        "in a list",
    ),
    ("05.4", rank("int(budget / (blocks * sum(map(sum, shapes))))"), "the whole part"),
    ("05.5", bits("tokens * (math.log(symbols) - loss) / math.log(2)"), "all in nats, then in bits"),
    ("05.5", bits("tokens * math.log2(symbols / math.exp(loss))"), "symbols by perplexity"),
]
