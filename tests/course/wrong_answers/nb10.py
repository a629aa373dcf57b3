"""Wrong answers to notebook 10's exercises; the package says what a tuple holds."""

STACK = """
        def my_mixed(y, x, pairs, names):
            r = max(len(A) for A, B in pairs.values())
            all_A, all_B = torch.zeros(len(names), r, x.shape[-1]), torch.zeros(len(names), y.shape[-1], r)
            for i, name in enumerate(names):
                if name is not None:
                    A, B = pairs[name]
                    all_A[i, : len(A)] = A
                    all_B[i, :, : len(A)] = B
            return y + x @ all_A.mT @ all_B.mT
"""


def mixed(*changes: tuple[str, str]) -> str:
    """The right batch, with pieces of its text replaced."""
    text = STACK
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def close(means: str, message: str, last: str = "F.cosine_similarity(m, v[None], dim=-1)") -> str:
    """A closeness by what is taken off the means and off the message, and how they're compared."""
    return f"""
        def my_closeness(message, examples):
            means = torch.stack([e.mean(0) for e in examples.values()])
            all = torch.cat(list(examples.values()))
            m, v = {means}, {message}
            return {last}
    """


BLEND = "lambda adapters, weights: "
EACH = "for (A, B, s), w in zip(adapters, weights)"
RENT = "lambda count, r, layers: "

WRONG = [
    # ---------------------------------------------------------------------------------------------------- 10.1
    ("10.1", mixed(("y + x @", "x @")), "only the update", True),
    ("10.1", mixed(("if name is not None", "if name is not None and name not in names[:i]")), "each name once", True),
    (
        "10.1",
        mixed(("if name is not None:", "if name and i == len(names) - 1 - names[::-1].index(name):")),
        "last",
        True,
    ),
    ("10.1", mixed(("pairs[name]", "pairs[names[0]]")), "the first row's adapter, where a row has one"),
    ("10.1", mixed(("all_B[i, :, : len(A)]", "all_B[i, :, r - len(A) :]")), "zeros of B in front"),
    ("10.1", mixed(("all_A[i, : len(A)]", "all_A[i, r - len(A) :]")), "zeros of A on top"),
    ("10.1", mixed((".mT @ all_B.mT", ".T @ all_B.T")), ".T turns all three", True),
    ("10.1", mixed((".mT @ all_B.mT", " @ all_B")), "x @ A", True),
    (
        "10.1",
        mixed(("if name is not None:", "if name is None:\n                    name = 'a'\n                if name:")),
        "None is a",
        True,
    ),
    ("10.1", mixed(("pairs[name]", "list(pairs.values())[i % len(pairs)]")), "in the order of pairs"),
    ("10.1", mixed(("return y +", "return y *")), "times"),
    ("10.1", mixed(("r = max", "r = min")), "the smallest rank fits all"),
    ("10.1", mixed(("all_A[i, : len(A)] = A", "all_A[i, : len(A)] = A / len(A)")), "scaling is 1 / r", True),
    ("10.1", mixed(("all_A[i, : len(A)] = A", "all_A[i] = A")), "ranks are equal"),
    ("10.1", mixed(("return y", "print(y"), ("all_B.mT", "all_B.mT)")), "print returns"),
    ("10.1", mixed(("enumerate(names)", "enumerate(names[1:])")), "one row off"),
    (
        "10.1",
        "lambda y, x, pairs, names: y + sum(x @ pairs[n][0].T @ pairs[n][1].T for n in set(names) if n)",
        "every adapter that occurs, for every row",
        True,
    ),
    (
        "10.1",
        "lambda y, x, pairs, names: y + sum(x @ pairs[n][0].T @ pairs[n][1].T for n in names if n)",
        "every adapter for every row, as often as it occurs",
        True,
    ),
    (
        "10.1",
        "lambda y, x, pairs, names: y + sum(x @ A.T @ B.T for A, B in pairs.values())",
        "the whole bank for every row",
        True,
    ),
    (
        "10.1",
        "lambda y, x, pairs, names: y + x @ pairs[names[0]][0].T @ pairs[names[0]][1].T",
        "row 0's adapter for all",
        True,
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            out = torch.zeros_like(y)
            for i, n in enumerate(names):
                if n is not None:
                    A, B = pairs[n]
                    out[i] = y[i] + x[i] @ A.T @ B.T
            return out
        """,
        "rows without an adapter stay zero",
        True,
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            out = y.clone()
            for i, n in enumerate(names):
                if n is not None:
                    A, B = pairs[n]
                    out[:, i] = y[:, i] + x[:, i] @ A.T @ B.T
            return out
        """,
        "the second dimension counts the rows",
        True,
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            for i, n in enumerate(names):
                if n is not None:
                    A, B = pairs[n]
                    y[i] += x[i] @ A.T @ B.T
            return y
        """,
        "right, but in place",
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            A = torch.stack([pairs[n][0] for n in names])
            B = torch.stack([pairs[n][1] for n in names])
            return y + x @ A.mT @ B.mT
        """,
        "None is no name",
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            A = torch.cat([pairs[n][0] for n in names if n])
            B = torch.cat([pairs[n][1] for n in names if n], dim=1)
            return y + x @ A.T @ B.T
        """,
        "stacked ranks are a blend",
        True,
    ),
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            used = [n for n in names if n is not None]
            out = y.clone()
            for i, n in enumerate(used):
                A, B = pairs[n]
                out[i] += x[i] @ A.T @ B.T
            return out
        """,
        "the rows without an adapter are left out first",
        True,
    ),
    (
        "10.1",
        "lambda y, x, pairs, names: y + torch.stack([a @ pairs[n][0].T @ pairs[n][1].T for a, n in zip(x, names)])",
        "every row has a name",
    ),
    # ---------------------------------------------------------------------------------------------------- 10.2
    ("10.2", close("means", "message"), "nothing taken off", True),
    ("10.2", close("means - all.mean(0)", "message"), "only off the means", True),
    ("10.2", close("means", "message - all.mean(0)"), "only off the message", True),
    ("10.2", close("means - all.mean(0)", "message - all.mean(0)", "m @ v"), "a product is a cosine", True),
    ("10.2", close("means - all.mean(0)", "message - all.mean(0)", "(m - v).norm(dim=-1)"), "close is near", True),
    ("10.2", close("means - all.mean(0)", "message - all.mean(0)", "-(m - v).norm(dim=1)"), "minus how far", True),
    ("10.2", close("means", "message", "(m - v).norm(dim=-1)"), "distances need no middle", True),
    ("10.2", close("means - means.mean(-1, keepdim=True)", "message - message.mean()"), "a vector's own mean", True),
    ("10.2", close("means - means.mean()", "message - means.mean()"), "one number for all", True),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "F.cosine_similarity(m, v[None], dim=-1).abs()"),
        "without signs",
        True,
    ),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "F.cosine_similarity(m, v[None], dim=-1).argmax()"),
        "the winner",
        True,
    ),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "F.cosine_similarity(m, v[None], dim=-1).softmax(0)"),
        "shares",
        True,
    ),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "1 - F.cosine_similarity(m, v[None], dim=-1)"),
        "cosine distance",
        True,
    ),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "F.cosine_similarity(m, v[None], dim=0)"),
        "dim=0 is the default",
    ),
    (
        "10.2",
        close("means - all.mean(0)", "message - all.mean(0)", "m @ v / m.norm() / v.norm()"),
        "one length for all means",
    ),
    (
        "10.2",
        """
        def my_closeness(message, examples):
            middle = torch.cat(list(examples.values())).mean(0)
            return torch.stack([
                F.cosine_similarity(e - middle, (message - middle)[None], dim=-1).max() for e in examples.values()
            ])
        """,
        "the closest example",
        True,
    ),
    (
        "10.2",
        """
        def my_closeness(message, examples):
            middle = torch.cat(list(examples.values())).mean(0)
            return torch.stack([
                F.cosine_similarity(e - middle, (message - middle)[None], dim=-1).mean() for e in examples.values()
            ])
        """,
        "the mean of cosines",
        True,
    ),
    # ---------------------------------------------------------------------------------------------------- 10.3
    ("10.3", BLEND + "sum(w * B @ A for (A, B, s), w in zip(adapters, weights))", "no scaling", True),
    ("10.3", BLEND + "sum(s * B @ A for A, B, s in adapters)", "no weights", True),
    ("10.3", BLEND + "sum(w * s * B @ A for (A, B, s), w in zip(adapters, weights)) / sum(weights)", "a mean", True),
    ("10.3", BLEND + "sum(w * s * B @ A for (A, B, s), w in zip(adapters, weights)) / len(weights)", "per adapter"),
    (
        "10.3",
        BLEND + f"sum(w * s * B {EACH}) @ sum(w * A {EACH})",
        "factors blended",
        True,
    ),
    (
        "10.3",
        BLEND + f"sum(w * B {EACH}) @ sum(w * A {EACH})",
        "factors blended, no scaling",
        True,
    ),
    (
        "10.3",
        BLEND + "sum(B for A, B, s in adapters) @ sum(w * s * A for (A, B, s), w in zip(adapters, weights))",
        "the weights on A",
        True,
    ),
    ("10.3", BLEND + "sum(w * s * A @ B for (A, B, s), w in zip(adapters, weights))", "A @ B"),
    ("10.3", BLEND + "sum(w * s * A.T @ B.T for (A, B, s), w in zip(adapters, weights))", "in × out"),
    ("10.3", BLEND + "sum(w * w * s * B @ A for (A, B, s), w in zip(adapters, weights))", "the weight on both", True),
    ("10.3", BLEND + "sum(w * s * s * B @ A for (A, B, s), w in zip(adapters, weights))", "the scaling on both"),
    ("10.3", BLEND + "sum(w / s * B @ A for (A, B, s), w in zip(adapters, weights))", "divided by the scaling"),
    ("10.3", BLEND + "sum(abs(w) * s * B @ A for (A, B, s), w in zip(adapters, weights))", "weights are sizes", True),
    ("10.3", BLEND + "torch.stack([w * s * B @ A for (A, B, s), w in zip(adapters, weights)])", "not added up"),
    (
        "10.3",
        """
        def my_blend(adapters, weights):
            A = sum(w * A for w, (A, B, s) in zip(weights, adapters))
            B = sum(w * B for w, (A, B, s) in zip(weights, adapters))
            return adapters[0][2] * (B @ A)
        """,
        "factors blended, the first scaling for all",
        True,
    ),
    (
        "10.3",
        BLEND + f"sum(s * B {EACH}) @ sum(w * A {EACH})",
        "the weights on A, the scalings on B",
        True,
    ),
    (
        "10.3",
        """
        def my_blend(adapters, weights):
            A = torch.cat([w * s * A for (A, B, s), w in zip(adapters, weights)])
            B = torch.cat([w * s * B for (A, B, s), w in zip(adapters, weights)], dim=1)
            return B @ A
        """,
        "side by side, with the weight on both",
        True,
    ),
    (
        "10.3",
        """
        def my_blend(adapters, weights):
            A = sum(w**0.5 * s**0.5 * A for w, (A, B, s) in zip(weights, adapters))
            B = sum(w**0.5 * s**0.5 * B for w, (A, B, s) in zip(weights, adapters))
            return B @ A
        """,
        "roots on both factors, as PEFT's linear does, and complex ones of a weight below zero",
        True,
    ),
    # ---------------------------------------------------------------------------------------------------- 10.4
    ("10.4", RENT + "count * r * sum(i + o for i, o in layers)", "numbers are bytes", True),
    ("10.4", RENT + "4 * r * sum(i + o for i, o in layers)", "one adapter", True),
    ("10.4", RENT + "count * 4 * sum(i * o for i, o in layers)", "whole matrices", True),
    ("10.4", RENT + "count * 4 * r * sum(i * o for i, o in layers)", "in times out", True),
    ("10.4", RENT + "count * 4 * r * sum(i for i, o in layers)", "only A", True),
    ("10.4", RENT + "count * 4 * r * sum(o for i, o in layers)", "only B", True),
    ("10.4", RENT + "count * 4 * r * 2 * sum(i for i, o in layers)", "square layers", True),
    ("10.4", RENT + "count * 2 * r * sum(i + o for i, o in layers)", "16 bits"),
    ("10.4", RENT + "count * 4 * r * (layers[0][0] + layers[0][1]) * len(layers)", "all like the first", True),
    ("10.4", RENT + "count * 4 * sum(i + o for i, o in layers)", "rank 1"),
    ("10.4", RENT + "count * 4 * r * sum(i + o for i, o in set(layers))", "each shape once"),
    ("10.4", RENT + "4 * count * sum(i * o + r * (i + o) for i, o in layers)", "the layer, too", True),
]

RIGHT = [
    (
        "10.1",
        """
        def my_mixed(y, x, pairs, names):
            rows = [y[i] if n is None else y[i] + x[i] @ pairs[n][0].T @ pairs[n][1].T for i, n in enumerate(names)]
            return torch.stack(rows)
        """,
        "row by row",
    ),
    ("10.1", mixed(), "the largest rank of the bank"),
    ("10.2", close("means - means.mean(0)", "message - means.mean(0)"), "the mean of the means"),
]
