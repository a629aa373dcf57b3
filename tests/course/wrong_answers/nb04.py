"""Wrong answers to notebook 04's exercises, and a few right ones of an unusual make."""

from .changing import changed

TRAIN = """
def my_train(model, batches, rate_at):
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained)
    losses = []
    for step, batch in enumerate(batches):
        logits = model(batch.input_ids).logits[:, :-1]
        targets = batch.labels[:, 1:]
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for group in adam.param_groups:
            group["lr"] = rate_at(step)
        adam.step()
        adam.zero_grad()
        losses.append(loss.item())
    return losses
"""
LOSS = "loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())"
CLIP = "        torch.nn.utils.clip_grad_norm_(trained, 1.0)\n"
RATE = '        for group in adam.param_groups:\n            group["lr"] = rate_at(step)\n'
STEP, ZERO, BACK = "        adam.step()\n", "        adam.zero_grad()\n", "        loss.backward()\n"
ADAM = "torch.optim.Adam(trained)"


def train(*changes):
    return changed(TRAIN, *changes)


def loss(body):
    return "def my_loss(logits, labels):\n    " + body.replace("\n", "\n    ")


def rate(warm, cool, test="step < warmup"):
    return f"def my_rate(step, steps, warmup, peak):\n    if {test}:\n        return {warm}\n    return {cool}"


WARM = "peak * (step + 1) / warmup"
COOL = "peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))"

WRONG = [
    ("04.2", train((ZERO, "")), "each backward starts from zero", True),
    ("04.2", train((STEP + ZERO, ZERO + STEP)), "zeroed before the step", True),
    ("04.2", train((BACK, BACK + ZERO), (STEP + ZERO, STEP)), "zeroed right after backward", True),
    ("04.2", train((ZERO, ""), ("losses = []", "losses = []\n    adam.zero_grad()")), "zeroed once", True),
    ("04.2", train((STEP, ""), (BACK, STEP + BACK)), "step before backward", True),
    ("04.2", train((STEP, "")), "backward changes the weights", True),
    ("04.2", train((BACK, "")), "the step works out the slopes", True),
    ("04.2", train(("[:, :-1]", ""), ("[:, 1:]", "")), "the labels are shifted already", True),
    (
        "04.2",
        train(("[:, :-1]", "[:, 1:]"), ("batch.labels[:, 1:]", "batch.labels[:, :-1]")),
        "shifted the wrong way",
        True,
    ),
    ("04.2", train(("batch.labels[:, 1:]", "batch.labels[:, :-1]")), "cut both at the end", True),
    ("04.2", train(("[:, :-1]", "[:, :-2]"), ("[:, 1:]", "[:, 2:]")), "two ahead"),
    (
        "04.2",
        train(("logits[:, :-1]", "logits[:-1]"), ("labels[:, 1:]", "labels[1:]")),
        "the first axis is the tokens",
        True,
    ),
    ("04.2", train(("batch.labels", "batch.input_ids")), "every token counts", True),
    (
        "04.2",
        train((LOSS, LOSS.replace(")))", "))").replace("flatten())", "flatten().clamp(min=0))"))),
        "-100 is no token",
        True,
    ),
    ("04.2", train((LOSS, LOSS.replace("flatten())", "flatten(), ignore_index=0)"))), "padding is 0"),
    ("04.2", train((LOSS, LOSS.replace("flatten())", "flatten(), reduction='sum')"))), "the loss is a sum", True),
    (
        "04.2",
        train((LOSS, "loss = torch.stack([F.cross_entropy(l, t) for l, t in zip(logits, targets)]).mean()")),
        "a mean over rows",
        True,
    ),
    (
        "04.2",
        train((LOSS, "loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction='none').mean()")),
        "what doesn't count is zero in the mean",
        True,
    ),
    ("04.2", train((LOSS, LOSS + " / len(batch.labels)")), "per row"),
    ("04.2", train((LOSS, "loss = F.cross_entropy(logits, targets)")), "cross_entropy takes three axes"),
    ("04.2", train(("targets.flatten()", "targets.T.flatten()")), "token by token"),
    ("04.2", train(("logits.flatten(0, 1)", "logits.softmax(-1).flatten(0, 1)")), "softmax first", True),
    ("04.2", train((LOSS, "loss = F.nll_loss(logits.flatten(0, 1), targets.flatten())")), "nll is cross-entropy", True),
    ("04.2", train((LOSS, "loss = -F.cross_entropy(logits.flatten(0, 1), targets.flatten())")), "maximize", True),
    ("04.2", train(("logits[:, :-1]", "logits[:, :-1].detach()")), "detach to save memory", True),
    ("04.2", train((CLIP, ""), (STEP, STEP + CLIP)), "clip after the step", True),
    ("04.2", train((CLIP, ""), (BACK, CLIP + BACK)), "clip before backward", True),
    ("04.2", train((CLIP, "")), "clipping is optional", True),
    ("04.2", train(("clip_grad_norm_(trained, 1.0)", "clip_grad_value_(trained, 1.0)")), "clip each number", True),
    (
        "04.2",
        train((CLIP, "        for p in trained:\n            torch.nn.utils.clip_grad_norm_(p, 1.0)\n")),
        "clip each matrix",
        True,
    ),
    ("04.2", train(("1.0)", "0.1)")), "clip to a tenth"),
    ("04.2", train((CLIP, "        for p in trained:\n            p.data.clamp_(-1, 1)\n")), "clip the weights", True),
    ("04.2", train(("clip_grad_norm_(trained, 1.0)", "clip_grad_norm_(trained, rate_at(step))")), "clip to the rate"),
    (
        "04.2",
        train(
            (
                CLIP,
                "        n = torch.stack([p.grad.norm() for p in trained]).norm()\n"
                "        for p in trained:\n            p.grad /= n\n",
            )
        ),
        "always to norm 1",
        True,
    ),
    ("04.2", train((RATE, ""), (STEP, STEP + RATE)), "the rate after the step", True),
    ("04.2", train(("rate_at(step)", "rate_at(step + 1)")), "steps count from 1", True),
    ("04.2", train(("enumerate(batches)", "enumerate(batches, 1)")), "enumerate from 1", True),
    ("04.2", train(("rate_at(step)", "rate_at(0)")), "a rate is a rate", True),
    ("04.2", train((RATE, ""), (ADAM, "torch.optim.Adam(trained, lr=rate_at(0))")), "the rate set once", True),
    ("04.2", train((RATE, "")), "Adam finds its rate", True),
    ("04.2", train((RATE, "        adam.lr = rate_at(step)\n")), "adam.lr", True),
    ("04.2", train(('group["lr"] = ', 'group["lr"] *= ')), "the rate is a factor"),
    ("04.2", train(("rate_at(step)", "rate_at")), "a function for a number"),
    (
        "04.2",
        train((RATE, "        adam = torch.optim.Adam(trained, lr=rate_at(step))\n")),
        "a new Adam each time",
        True,
    ),
    (
        "04.2",
        train(
            ("losses = []", "losses = []\n    schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate_at)"),
            (RATE, ""),
            (STEP, STEP + "        schedule.step()\n"),
        ),
        "LambdaLR sets the rate",
    ),
    (
        "04.2",
        train(
            (ADAM, "torch.optim.Adam(trained, lr=1.0)"),
            ("losses = []", "losses = []\n    schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate_at)"),
            (RATE, "        schedule.step()\n"),
        ),
        "the schedule steps first",
        True,
    ),
    ("04.2", train(("Adam(", "SGD("), (ADAM.replace("Adam", "SGD"), "torch.optim.SGD(trained, lr=1)")), "SGD", True),
    ("04.2", train((ADAM, "torch.optim.AdamW(trained)")), "AdamW is what one uses", True),
    ("04.2", train((ADAM, "torch.optim.Adam(trained, weight_decay=0.01)")), "some weight decay"),
    (
        "04.2",
        train(("    trained = ", "    model.requires_grad_(True)\n    trained = ")),
        "a model that trains has to be trainable",
        True,
    ),
    ("04.2", train(("losses.append(loss.item())", "losses.append(loss)")), "a tensor is a number", True),
    ("04.2", train(("losses.append(loss.item())", "losses.append(round(loss.item(), 2))")), "two digits will do"),
    ("04.2", train(("return losses", "return losses[-1]")), "the last loss", True),
    ("04.2", train(("return losses", "return sum(losses) / len(losses)")), "the mean loss", True),
    ("04.2", train(("    return losses", "        return losses")), "return in the loop", True),
    ("04.2", train(("    return losses", "")), "training is done in place", True),
    ("04.2", train(("losses.append(loss.item())", "print(step, loss.item())")), "print the losses", True),
    ("04.2", train(("return losses", "return model")), "the trained model comes back", True),
    (
        "04.2",
        train(
            (
                "        losses.append(loss.item())\n",
                "        logits = model(batch.input_ids).logits[:, :-1]\n"
                "        losses.append(F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item())\n",
            ),
        ),
        "the loss after the step",
        True,
    ),
    ("04.2", train(("enumerate(batches)", "enumerate(list(batches) * 3)")), "three epochs"),
    (
        "04.2",
        train(
            (
                "logits = model(batch.input_ids)",
                "with torch.no_grad():\n            out = model(batch.input_ids)\n        logits = out",
            )
        ),
        "the base needs no gradient",
        True,
    ),
    (
        "04.2",
        train(
            ("losses = []", "losses, total = [], 0"),
            (BACK, "        total = total + loss\n        total.backward(retain_graph=True)\n"),
        ),
        "the total goes backward",
        True,
    ),
    (
        "04.2",
        train((BACK + CLIP, "        (loss / len(list(batches))).backward()\n" + CLIP)),
        "as in gradient accumulation",
    ),
    ("04.2", train((STEP, STEP.replace("step()", "step")), (ZERO, ZERO)), "the parentheses forgotten", True),
    # ---------------------------------------------------------------------------------------------------- 04.1
    ("04.1", loss("return F.cross_entropy(logits, labels)"), "the labels are shifted already", True),
    ("04.1", loss("return F.cross_entropy(logits[1:], labels[:-1])"), "shifted the wrong way", True),
    ("04.1", loss("return F.cross_entropy(logits[1:], labels[1:])"), "both cut in front", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[:-1])"), "both cut at the end", True),
    ("04.1", loss("return F.cross_entropy(logits[:-2], labels[2:])"), "two ahead"),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:], reduction='sum')"), "the loss is a sum", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:], reduction='none')"), "one loss per token", True),
    (
        "04.1",
        loss("return F.cross_entropy(logits[:-1], labels[1:], reduction='none').mean()"),
        "zeros in the mean",
        True,
    ),
    (
        "04.1",
        loss("return F.cross_entropy(logits[:-1], labels[1:], reduction='sum') / len(labels)"),
        "over all tokens",
        True,
    ),
    (
        "04.1",
        loss("return F.cross_entropy(logits[:-1], labels[1:], reduction='sum') / (labels != -100).sum()"),
        "counted before the shift",
        True,
    ),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:]).item()"), "a loss is a number", True),
    (
        "04.1",
        loss("return torch.tensor(F.cross_entropy(logits[:-1], labels[1:]).item())"),
        "a tensor made of the number",
        True,
    ),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:].clamp(min=0))"), "-100 is no token", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:].abs())"), "no negative labels"),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:], ignore_index=0)"), "padding is 0"),
    (
        "04.1",
        loss("keep = labels[1:] > 0\nreturn F.cross_entropy(logits[:-1][keep], labels[1:][keep])"),
        "> 0 keeps all ids",
        True,
    ),
    (
        "04.1",
        loss("keep = labels != -100\nreturn F.cross_entropy(logits[keep], labels[keep])"),
        "masked, not shifted",
        True,
    ),
    (
        "04.1",
        loss(
            "keep = labels != -100\nlogits, labels = logits[keep], labels[keep]\n"
            "return F.cross_entropy(logits[:-1], labels[1:])"
        ),
        "masked first, then shifted",
        True,
    ),
    (
        "04.1",
        loss("keep = (labels != -100)[:-1]\nreturn F.cross_entropy(logits[:-1][keep], labels[1:][keep])"),
        "the mask isn't shifted",
        True,
    ),
    ("04.1", loss("return F.cross_entropy(logits, torch.roll(labels, -1))"), "roll shifts", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1].softmax(-1), labels[1:])"), "softmax first", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1].softmax(0), labels[1:])"), "softmax over tokens"),
    ("04.1", loss("return F.nll_loss(logits[:-1], labels[1:])"), "nll is cross-entropy", True),
    ("04.1", loss("return F.nll_loss(logits[:-1].softmax(-1), labels[1:])"), "the log forgotten"),
    ("04.1", loss("return -F.cross_entropy(logits[:-1], labels[1:])"), "a logarithm is negative", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:]).exp()"), "perplexity", True),
    ("04.1", loss("return F.cross_entropy(logits[:-1], labels[1:]) / math.log(2)"), "in bits"),
    (
        "04.1",
        loss(
            "keep = labels[1:] != -100\n"
            "p = logits[:-1].softmax(-1)[keep].gather(1, labels[1:][keep, None])\nreturn -p.mean().log()"
        ),
        "the log of the mean",
    ),
    (
        "04.1",
        loss("keep = labels[1:] != -100\nreturn (logits[:-1].argmax(-1)[keep] != labels[1:][keep]).float().mean()"),
        "the share of misses",
    ),
    ("04.1", loss("return F.cross_entropy(logits.T, labels)"), "cross_entropy wants classes first"),
    ("04.1", loss("print(F.cross_entropy(logits[:-1], labels[1:]))"), "print returns"),
    ("04.1", loss("return F.cross_entropy(logits[:-2], labels[1:-1])"), "the end of the turn doesn't count"),
    ("04.1", loss("return F.cross_entropy(logits[:, :-1], labels[1:])"), "the wrong axis"),
    # ---------------------------------------------------------------------------------------------------- 04.3
    ("04.3", rate("peak * step / warmup", COOL), "step 0 starts at 0", True),
    ("04.3", rate("peak * (step + 1) / (warmup + 1)", COOL), "the line reaches peak after the warm-up", True),
    ("04.3", rate("peak * step / (warmup - 1)", COOL), "from 0 to peak", True),
    ("04.3", rate("peak * (step + 1) // warmup", COOL), "whole numbers divide with //", True),
    ("04.3", rate("peak * (step + 1) / steps", COOL), "over all the steps", True),
    ("04.3", rate("(step + 1) / warmup", COOL), "peak forgotten in the warm-up", True),
    ("04.3", rate("peak", COOL), "no warm-up", True),
    ("04.3", rate(WARM, COOL, test="step <= warmup"), "<= for <", True),
    ("04.3", rate(WARM, COOL, test="step < warmup * steps"), "warmup is a share", True),
    ("04.3", rate(WARM, COOL, test="step + 1 < warmup"), "one less"),
    ("04.3", rate(WARM, "peak * 0.5 * (1 + math.cos(math.pi * step / steps))"), "the cosine runs from step 0", True),
    ("04.3", rate(WARM, "peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / steps))"), "over all the steps", True),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * (1 + math.cos(math.pi * step / (steps - warmup)))"),
        "warmup not taken off",
        True,
    ),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup)))"),
        "one further",
        True,
    ),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup - 1)))"),
        "0 at the last step",
        True,
    ),
    ("04.3", rate(WARM, "peak * 0.5 * (1 + math.cos((step - warmup) / (steps - warmup)))"), "π forgotten", True),
    ("04.3", rate(WARM, "peak * 0.5 * (1 + math.cos(180 * (step - warmup) / (steps - warmup)))"), "degrees", True),
    (
        "04.3",
        rate(WARM, "peak * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))"),
        "a quarter of a wave",
        True,
    ),
    ("04.3", rate(WARM, "peak * math.cos(math.pi * (step - warmup) / (steps - warmup))"), "a cosine ends at 0", True),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup))"),
        "half of a cosine",
        True,
    ),
    (
        "04.3",
        rate(WARM, "peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))"),
        "the half forgotten",
        True,
    ),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * (1 + math.cos(2 * math.pi * (step - warmup) / (steps - warmup)))"),
        "a whole wave",
        True,
    ),
    (
        "04.3",
        rate(WARM, "peak * 0.5 * (1 - math.cos(math.pi * (step - warmup) / (steps - warmup)))"),
        "minus, so it falls",
        True,
    ),
    ("04.3", rate(WARM, "peak * 0.5 * (1 + math.sin(math.pi * (step - warmup) / (steps - warmup)))"), "sine", True),
    ("04.3", rate(WARM, "peak * (steps - step) / (steps - warmup)"), "a line down", True),
    ("04.3", rate(WARM, "0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))"), "peak forgotten", True),
    ("04.3", rate(WARM, "peak"), "constant after the warm-up", True),
    (
        "04.3",
        rate(WARM, "peak * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))))"),
        "a tenth is left",
    ),
    ("04.3", rate(WARM, COOL.replace("(step - warmup) / (steps", "(step - warmup) // (steps")), "// in the cosine"),
    ("04.3", f"lambda step, steps, warmup, peak: min({WARM}, {COOL})", "the smaller one counts"),
    ("04.3", f"lambda step, steps, warmup, peak: {COOL.replace('peak', WARM)}", "both at once"),
    (
        "04.3",
        f"def my_rate(step, steps, warmup, peak):\n    if step < warmup:\n        return {WARM}\n    print({COOL})",
        "print returns",
    ),
    (
        "04.3",
        f"def my_rate(step, steps, warmup, peak):\n    if step < warmup:\n        {WARM}\n    return {COOL}",
        "return forgotten in the if",
    ),
    (
        "04.3",
        "def my_rate(step, steps, warmup, peak):\n"
        "    return peak * torch.linspace(0, 1, warmup)[step] if step < warmup else " + COOL,
        "linspace is the line",
        True,
    ),
    # ---------------------------------------------------------------------------------------------------- 04.4
    (
        "04.4",
        "lambda sums, counts: sum(s / c for s, c in zip(sums, counts)) / len(sums)",
        "the mean of the means",
        True,
    ),
    ("04.4", "lambda sums, counts: sum(s / c for s, c in zip(sums, counts))", "the sum of the means", True),
    ("04.4", "lambda sums, counts: sum(sums) / len(sums)", "per part", True),
    ("04.4", "lambda sums, counts: sum(sums)", "the parts add up", True),
    ("04.4", "lambda sums, counts: sum(counts) / sum(sums)", "upside down", True),
    ("04.4", "lambda sums, counts: sum(sums) // sum(counts)", "whole numbers divide with //", True),
    ("04.4", "lambda sums, counts: sum(s * c for s, c in zip(sums, counts)) / sum(counts)", "weighted sums", True),
    (
        "04.4",
        "lambda sums, counts: sum(s / c * c for s, c in zip(sums, counts)) / len(counts)",
        "weighted, per part",
        True,
    ),
    ("04.4", "lambda sums, counts: sum(sums) / max(counts)", "the longest part", True),
    ("04.4", "lambda sums, counts: sum(sums) / (len(counts) * counts[0])", "the parts are equal", True),
    ("04.4", "lambda sums, counts: sum(sums) / sum(counts) / len(sums)", "as in gradient accumulation", True),
    ("04.4", "lambda sums, counts: sum(sums) / sum(counts) * len(sums)", "times the parts", True),
    ("04.4", "lambda sums, counts: [s / c for s, c in zip(sums, counts)]", "one for each part", True),
    ("04.4", "lambda sums, counts: sums[0] / counts[0]", "the first part", True),
    ("04.4", "lambda sums, counts: sums[-1] / counts[-1]", "the last part", True),
    ("04.4", "lambda sums, counts: sums / counts", "lists divide"),
    ("04.4", "lambda sums, counts: sums.sum() / counts.sum()", "lists are tensors"),
    (
        "04.4",
        "lambda sums, counts: (torch.tensor(sums) / torch.tensor(counts)).mean()",
        "the mean of the means, in torch",
        True,
    ),
    ("04.4", "lambda sums, counts: sorted(s / c for s, c in zip(sums, counts))[len(sums) // 2]", "the median", True),
    ("04.4", "lambda sums, counts: math.exp(sum(sums) / sum(counts))", "perplexity"),
    ("04.4", "lambda sums, counts: max(s / c for s, c in zip(sums, counts))", "the worst part", True),
    ("04.4", "lambda sums, counts: print(sum(sums) / sum(counts))", "print returns"),
    ("04.4", "lambda sums, counts: round(sum(sums) / sum(counts), 1)", "one digit will do"),
    ("04.4", "lambda sums, counts: (sums[0] + sums[1]) / (counts[0] + counts[1])", "two parts", True),
    (
        "04.4",
        "def my_mean_loss(sums, counts):\n    for s, c in zip(sums, counts):\n        return s / c",
        "return in the loop",
        True,
    ),
    (
        "04.4",
        "def my_mean_loss(sums, counts):\n    mean = 0\n    for s, c in zip(sums, counts):\n"
        "        mean = (mean + s / c) / 2\n    return mean",
        "a running mean",
    ),
    ("04.4", "lambda sums, counts: sum(s * c for s, c in zip(sums, counts)) / sum(c * c for c in counts)", "squares"),
    ("04.4", "lambda sums, counts: sum(sums) / (sum(counts) - len(counts))", "each part loses one to the shift"),
    ("04.4", "lambda sums, counts: sum(sums) / (sum(counts) - 1)", "n - 1"),
]

RIGHT = [
    ("04.2", train(("losses.append(loss.item())", "losses.append(loss.detach())")), "detached is as good as a number"),
    (
        "04.2",
        train(
            (ZERO, ""),
            (BACK, ZERO + BACK),
            (ADAM, "torch.optim.Adam(model.parameters(), lr=7.0)"),
            ("(trained, 1.0)", "(model.parameters(), 1.0)"),
        ),
        "all parameters, and zeroed first",
    ),
    (
        "04.2",
        """
        def my_train(model, batches, rate_at):
            adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1.0)
            schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate_at)
            losses = []
            for batch in batches:
                model.zero_grad()
                logp = model(batch.input_ids).logits.log_softmax(-1)[:, :-1]
                keep = batch.labels[:, 1:] != -100
                loss = -logp[keep].gather(1, batch.labels[:, 1:][keep][:, None]).mean()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1)
                adam.step()
                schedule.step()
                losses.append(float(loss))
            return losses
        """,
        "LambdaLR with a rate of 1, and the loss by hand",
    ),
    (
        "04.1",
        loss("keep = labels[1:] != -100\nreturn -logits[:-1].log_softmax(-1)[keep, labels[1:][keep]].mean()"),
        "by hand",
    ),
    (
        "04.1",
        loss("targets = F.pad(labels[1:], (0, 1), value=-100)\nreturn F.cross_entropy(logits, targets)"),
        "padded",
    ),
    ("04.3", rate(WARM, "peak * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2"), "cos² is the same"),
    ("04.3", f"lambda step, steps, warmup, peak: {WARM} if step + 1 <= warmup else {COOL}", "in one line"),
    ("04.4", "lambda sums, counts: torch.tensor(sums).sum() / torch.tensor(counts).sum()", "in torch"),
    (
        "04.4",
        "lambda sums, counts: sum(s / c * (c / sum(counts)) for s, c in zip(sums, counts))",
        "means, weighted by their shares",
    ),
]
