"""Wrong answers to notebook 11's exercises; the package says what a tuple holds."""


def rows(body):
    return "def my_rows(B, heads):\n    " + body.replace("\n", "\n    ")


def each_head(new):
    return rows(f"d = len(B) // heads\nreturn torch.cat([{new} for head in B.split(d)])")


def loss(expression):
    return f"lambda summed, counts, me: {expression}"


def factor(expression):
    return f"lambda alpha, r, layer_alpha, layer_r: {expression}"


WRONG = [
    ("11.1", rows("return B"), "nothing to do", True),
    ("11.1", rows("return B.view(heads, 2, -1, B.shape[1]).reshape(B.shape)"), "a reshape moves numbers", True),
    ("11.1", rows("return B.reshape(heads, -1, 2, B.shape[1]).transpose(1, 2).reshape(B.shape)"), "pairs first", True),
    ("11.1", rows("return B.reshape(2, -1, B.shape[1]).transpose(0, 1).reshape(B.shape)"), "heads forgotten", True),
    (
        "11.1",
        rows("h = len(B) // 2\nreturn torch.stack([B[:h], B[h:]], dim=1).reshape(B.shape)"),
        "one head: first half and second half in turn",
        True,
    ),
    (
        "11.1",
        rows("r = B.shape[1]\nhalves = B.reshape(heads, 2, -1, r)\nreturn halves.permute(1, 0, 2, 3).reshape(-1, r)"),
        "the first two axes swapped",
        True,
    ),
    ("11.1", each_head("torch.cat([head[0::2], head[1::2]])"), "even rows, then odd rows", True),
    ("11.1", each_head("torch.stack([head[d // 2:], head[:d // 2]], 1).flatten(0, 1)"), "the second half leads", True),
    (
        "11.1",
        rows("return B.reshape(heads, 2, -1, B.shape[1]).transpose(-1, -2).reshape(B.shape)"),
        "last two axes",
        True,
    ),
    ("11.1", rows("return B.T.reshape(2, -1, len(B)).transpose(0, 1).reshape(B.T.shape).T"), "it's A that turns", True),
    ("11.1", rows("return B.reshape(heads, 2, -1, B.shape[1]).swapaxes(1, 2)"), "not put back into two axes"),
    ("11.1", rows("return B.reshape(heads, 2, 32, -1).swapaxes(1, 2).reshape(B.shape)"), "heads of 64 always"),
    ("11.1", rows("return B.reshape(9, 2, -1, B.shape[1]).swapaxes(1, 2).reshape(B.shape)"), "nine heads always"),
    ("11.1", rows("return B.flip(0)"), "backwards"),
    ("11.1", rows("return torch.cat([B[::2], B[1::2]])"), "even rows, then odd rows, of all of B", True),
    (
        "11.1",
        rows(
            "d = B.shape[0] // heads\n"
            "order = [h * d + i + j for h in range(heads) for j in (0, d // 2) for i in range(d // 2)]\nreturn B[order]"
        ),
        "the two loops the other way round",
        True,
    ),
    (
        "11.1",
        rows(
            "d = len(B) // heads\nfor h in range(0, len(B), d):\n    for i in range(d // 2):\n"
            "        B[h + 2 * i], B[h + 2 * i + 1] = B[h + i], B[h + i + d // 2]\nreturn B"
        ),
        "in place",
        True,
    ),
    (
        "11.1",
        rows("d = len(B) // heads\nreturn B[[row for i in range(d // 2) for row in (i, i + d // 2)]]"),
        "the order of the first head",
        True,
    ),
    (
        "11.1",
        rows(
            "d = len(B) // heads\nnew = B.clone()\n"
            "new[:d] = B[[i // 2 + i % 2 * (d // 2) for i in range(d)]]\nreturn new"
        ),
        "the order of one head, written into a copy",
        True,
    ),
    (
        "11.1",
        rows(
            "d = len(B) // heads\norder = [row for i in range(d // 2) for row in (i, i + d // 2)]\n"
            "return torch.cat([B[order] for _ in range(heads)])"
        ),
        "the order of one head, for every head",
        True,
    ),
    ("11.2", loss("summed / counts.sum()"), "a mean over all tokens", True),
    ("11.2", loss("summed / counts[me] * counts[me] / counts.sum()"), "weigh my mean by my share", True),
    ("11.2", loss("summed / counts[me] * counts[me] / counts.sum() * counts[me]"), "a count too many", True),
    ("11.2", loss("summed / counts[me] * counts[me] / counts.sum() / len(counts)"), "my share, averaged", True),
    ("11.2", loss("summed / counts[me] / len(counts)"), "my mean, averaged", True),
    ("11.2", loss("summed / counts[me]"), "a mean over my tokens", True),
    ("11.2", loss("summed / counts.sum() / len(counts)"), "average once more", True),
    ("11.2", loss("summed / len(counts)"), "average over the processes", True),
    ("11.2", loss("summed * len(counts)"), "only undo the average", True),
    ("11.2", loss("summed"), "leave it as it is", True),
    ("11.2", loss("summed / counts"), "by the counts", True),
    ("11.2", loss("summed * (counts[me] / counts.sum())"), "weigh by my share", True),
    ("11.2", loss("summed / counts[me] * counts.numel()"), "my mean, the average undone", True),
    ("11.2", loss("(summed / counts.sum() * len(counts)).item()"), "a number is a number", True),
    ("11.2", loss("torch.tensor(summed.item() / counts.sum().item() * len(counts))"), "a new tensor", True),
    ("11.2", loss("summed / counts.max() * len(counts)"), "by the largest count"),
    ("11.2", loss("summed / counts[me] / counts.sum()"), "both counts"),
    ("11.2", loss("summed / counts.sum() * counts[me]"), "my share of the sum", True),
    ("11.2", loss("summed / counts.sum() * me"), "times my number"),
    ("11.3", factor("layer_alpha / layer_r / (alpha / r)"), "what it should be, over what it is", True),
    ("11.3", factor("layer_r / r"), "only the ranks matter", True),
    ("11.3", factor("r / layer_r"), "the larger rank is the larger update", True),
    ("11.3", factor("alpha / layer_alpha"), "only the alphas matter", True),
    ("11.3", factor("(alpha / r) / (alpha / layer_r)"), "one alpha for both", True),
    ("11.3", factor("(alpha / layer_r) / (layer_alpha / r)"), "each with the other's rank", True),
    ("11.3", factor("layer_alpha / alpha"), "only the alphas, upside down", True),
    ("11.3", factor("alpha / r - layer_alpha / layer_r"), "what's too much", True),
    ("11.3", factor("alpha / r * layer_alpha / layer_r"), "without parentheses, times", True),
    ("11.3", factor("alpha / r / layer_alpha / layer_r"), "without parentheses, over", True),
    ("11.3", factor("alpha * r / (layer_alpha * layer_r)"), "the ranks on the wrong sides", True),
    ("11.3", factor("alpha / r"), "what the server uses", True),
    ("11.3", factor("layer_alpha / layer_r"), "what it was trained with", True),
    ("11.3", factor("1 - (alpha / r) / (layer_alpha / layer_r)"), "the share that's lost", True),
    ("11.3", factor("(alpha / r) / (layer_alpha / layer_r) - 1"), "the share that's too much", True),
    ("11.3", factor("100 * (alpha / r) / (layer_alpha / layer_r)"), "in percent", True),
    ("11.3", factor("(alpha // r) / max(1, layer_alpha // layer_r)"), "whole numbers"),
]
