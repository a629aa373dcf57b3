"""Wrong answers to notebook 02's exercises; the package says what a tuple holds."""

WRONG = [
    ("02.1", "lambda numbers, trained, size: 4 * numbers * size", "four times the model", True),
    ("02.1", "lambda numbers, trained, size: 4 * trained * size", "the trained ones only", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 4 * trained) * size", "trained numbers counted twice", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 2 * trained) * size", "no gradients", True),
    ("02.1", "lambda numbers, trained, size: (numbers + trained) * size", "no averages", True),
    ("02.1", "lambda numbers, trained, size: 3 * trained * size", "no weights", True),
    ("02.1", "lambda numbers, trained, size: numbers + 3 * trained", "sizes forgotten", True),
    ("02.1", "lambda numbers, trained, size: numbers * size + 3 * trained", "size for the weights only", True),
    ("02.1", "lambda numbers, trained, size: numbers + 3 * trained * size", "brackets forgotten", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 3 * trained) * size * 8", "in bits", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 3 * trained) * size / 1e9", "in GB", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 3 * trained) * 4", "float32", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 3 * trained) * 2", "two bytes, as on the page", True),
    (
        "02.1",
        "lambda numbers, trained, size: numbers * size + 2 * trained * 4 + trained * size",
        "float32 averages",
        True,
    ),
    (
        "02.1",
        "lambda numbers, trained, size: (2 * numbers + 2 * trained) * size",
        "gradients for frozen weights, too",
        True,
    ),
    (
        "02.1",
        "lambda numbers, trained, size: (numbers - trained + 3 * trained) * size",
        "trained weights left out",
        True,
    ),
    ("02.1", "lambda numbers, trained, size: numbers * size", "the weights alone", True),
    (
        "02.1",
        "lambda numbers, trained, size: (numbers + 3 * (numbers - trained)) * size",
        "averages for the frozen",
        True,
    ),
    ("02.1", "lambda numbers, trained, size: (3 * numbers + trained) * size", "swapped", True),
    ("02.1", "lambda numbers, trained, size: (numbers + 3 * trained) / size", "divided"),
    ("02.1", "lambda numbers, trained, size: (numbers * trained * 3) * size", "times for plus"),
    ("02.1", "lambda numbers, trained, size: (numbers * size, 3 * trained * size)", "a comma for plus", True),
    (
        "02.1",
        "def my_bytes(numbers, trained, size):\n    print((numbers + 3 * trained) * size)",
        "print",
    ),
    (
        "02.1",
        """
        def my_bytes(numbers, trained, size):
            weights = numbers * size
            gradients = trained * size
            averages = 2 * gradients
            return weights, gradients, averages
        """,
        "three numbers",
        True,
    ),
    (
        "02.1",
        """
        def my_bytes(numbers, trained, size):
            weights = (numbers + trained) * size
            gradients = trained * size
            averages = 2 * trained * size
            return weights + gradients + averages
        """,
        "adapters added to the numbers",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            return w - lr * m / (v.sqrt() + 1e-8), m, v
        """,
        "no correction",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            m = m / (1 - 0.9**t)
            v = v / (1 - 0.999**t)
            return w - lr * m / (v.sqrt() + 1e-8), m, v
        """,
        "corrected averages kept",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "the square forgotten",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V + 1e-8), m, v
        """,
        "the root forgotten",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w + lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "uphill",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.1 * m + 0.9 * g
            v = 0.001 * v + 0.999 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "old and new share swapped",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9*t), v / (1 - 0.999*t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "times t for to the power t",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9), v / (1 - 0.999)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "as at step 1, always",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**(t + 1)), v / (1 - 0.999**(t + 1))
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "t counts from 0",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.9**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "0.9 for both corrections",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.9 * v + 0.1 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.9**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "0.9 for both averages",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / ((V + 1e-8).sqrt()), m, v
        """,
        "1e-8 under the root",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / V.sqrt() + 1e-8, m, v
        """,
        "brackets forgotten",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * g / (V.sqrt() + 1e-8), m, v
        """,
        "the gradient, not its average",
        True,
    ),
    ("02.2", "lambda w, g, m, v, t, lr: (w - lr * g, m, v)", "plain gradient descent", True),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            w = w - lr * M / (V.sqrt() + 1e-8)
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            return w, m, v
        """,
        "step first, averages later",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8)
        """,
        "only w",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), M, V
        """,
        "M and V returned",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g**2)
            m.div_(1 - 0.9**t)
            v.div_(1 - 0.999**t)
            w -= lr * m / (v.sqrt() + 1e-8)
            return w, m, v
        """,
        "in place, corrections and all",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            w = w - lr * (M / (V.sqrt() + 1e-8) + 0.01 * w)
            return w, m, v
        """,
        "AdamW's decay, as torch has it",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + g
            v = 0.999 * v + g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "momentum as in SGD",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * m**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "the square of the average",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * (g @ g)
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-8), m, v
        """,
        "one square for all",
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (V.sqrt() + 1e-3), m, v
        """,
        "Keras has a larger epsilon",
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - lr * M / (math.sqrt(V) + 1e-8), m, v
        """,
        "math.sqrt takes tensors",
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return m, v, w - lr * M / (V.sqrt() + 1e-8)
        """,
        "another order",
        True,
    ),
    (
        "02.2",
        """
        def my_adam(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            M, V = m / (1 - 0.9**t), v / (1 - 0.999**t)
            return w - 0.001 * M / (V.sqrt() + 1e-8), m, v
        """,
        "Adam's usual rate",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive = {}
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
            return alive
        """,
        "what's alive at the end",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, most = {}, {}
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                most[kind] = max(most.get(kind, 0), alive[kind])
            return most
        """,
        "each kind's own peak",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            made = {}
            for kind, size in events:
                if size > 0:
                    made[kind] = made.get(kind, 0) + size
            return made
        """,
        "freed ones ignored",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            made = {}
            for kind, size in events:
                made[kind] = made.get(kind, 0) + abs(size)
            return made
        """,
        "sizes are positive",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = alive
            return best
        """,
        "a snapshot without a copy",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if size > peak:
                    peak = size
                    best = dict(alive)
            return best
        """,
        "at the largest block",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if alive[kind] > peak:
                    peak = alive[kind]
                    best = dict(alive)
            return best
        """,
        "at the peak of one kind",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            now = peak = 0
            for kind, size in events:
                now += size
                peak = max(peak, now)
            return peak
        """,
        "the peak's total",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive = {}
            for kind, size in events:
                alive[kind] = size
            return alive
        """,
        "the last size of each",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            most = {}
            for kind, size in events:
                most[kind] = max(most.get(kind, 0), size)
            return most
        """,
        "the largest block of each",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
                alive[kind] = alive.get(kind, 0) + size
            return best
        """,
        "looked before the event",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                if size > 0:
                    alive[kind] = alive.get(kind, 0) + size
                else:
                    alive[kind] = 0
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
            return best
        """,
        "freed means gone altogether",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    best = dict(alive)
            return best
        """,
        "peak never moved",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                total = sum(alive.values())
                if total > peak:
                    peak = total
                    best[kind] = alive[kind]
            return best
        """,
        "only the kind that changed",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, history = {}, []
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                history.append(dict(alive))
            return history
        """,
        "every moment",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, history = {}, []
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                history.append(alive)
            return max(history, key=lambda each: sum(each.values()))
        """,
        "the same dict in a list",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, history = {}, []
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                history.append(dict(alive))
            return max(history, key=lambda each: max(each.values()))
        """,
        "the moment of the largest kind",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, history = {}, []
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                history.append(dict(alive))
            return max(history, key=len)
        """,
        "the moment with most kinds",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive = {"weights": 0, "gradients": 0, "optimizer": 0, "activations": 0}
            best, peak = {}, 0
            for kind, size in events:
                alive[kind] += size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
            return best
        """,
        "the four kinds of the page",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
                return best
        """,
        "return inside the loop",
        True,
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
            print(best)
        """,
        "print",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) - size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = dict(alive)
            return best
        """,
        "sign",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = {kind: bytes / peak for kind, bytes in alive.items()}
            return best
        """,
        "shares",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive, best, peak = {}, {}, 0
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + size
                if sum(alive.values()) > peak:
                    peak = sum(alive.values())
                    best = {"total": peak}
            return best
        """,
        "a dict with the total",
    ),
    (
        "02.3",
        """
        def my_ledger(events):
            alive = {}
            for kind, size in events:
                alive[kind] = alive.get(kind, 0) + 1
            return alive
        """,
        "counted the blocks",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(layers, inputs):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
            return grad
        """,
        "first layer first",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), inputs):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
            return grad
        """,
        "only the layers turned round",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).sum().backward()
                grad = x.grad
            return grad
        """,
        "sum is a loss",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
            return x.grad
        """,
        "the same grad everywhere",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach()
                layer(x).backward(grad)
                grad = x.grad
            return grad
        """,
        "requires_grad forgotten",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                with torch.no_grad():
                    y = layer(x)
                y.backward(grad)
                grad = x.grad
            return grad
        """,
        "no_grad saves memory",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            x = inputs[0].detach().requires_grad_()
            y = x
            for layer in layers:
                y = layer(y)
            y.backward(grad)
            return x.grad
        """,
        "the whole pass again, at once",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                (grad,) = torch.autograd.grad(layer(x), x, grad)
            return grad
        """,
        "no .grad for the weights",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                grad = grad @ layer.weight
            return grad
        """,
        "linear layers by hand, no weights' gradient",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                layer.weight.grad = grad.T @ x
                grad = grad @ layer.weight
            return grad
        """,
        "by hand, bias and activation forgotten",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x
            return grad
        """,
        "x for x.grad",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
        """,
        "no return",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
                return grad
        """,
        "return inside the loop",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for i in range(len(layers) - 1, 0, -1):
                x = inputs[i].detach().requires_grad_()
                layers[i](x).backward(grad)
                grad = x.grad
            return grad
        """,
        "range stops before 0",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for i in range(len(layers), 0, -1):
                x = inputs[i].detach().requires_grad_()
                layers[i](x).backward(grad)
                grad = x.grad
            return grad
        """,
        "starts at len",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            layers.reverse()
            inputs.reverse()
            for layer, x in zip(layers, inputs):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
            return x
        """,
        "lists turned round in place, and x returned",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer.zero_grad()
                layer(x).backward(grad)
                grad = grad * x.grad
            return grad
        """,
        "the chain rule multiplies",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = grad + x.grad
            return grad
        """,
        "added up",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            grads = []
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                layer(x).backward(grad)
                grad = x.grad
                grads.append(grad)
            return grads
        """,
        "the gradients of all inputs",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                y = layer(x)
                loss = (y * grad).mean()
                loss.backward()
                grad = x.grad
            return grad
        """,
        "mean for sum",
        True,
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            for layer, x in zip(reversed(layers), reversed(inputs)):
                x = x.detach().requires_grad_()
                y = layer(x)
                loss = ((y - grad) ** 2).mean()
                loss.backward()
                grad = x.grad
            return grad
        """,
        "grad is a target",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            x = inputs[0].detach().requires_grad_()
            for layer in layers:
                layer(x).backward(grad)
            return x.grad
        """,
        "inputs[0] into every layer",
    ),
    (
        "02.4",
        "lambda layers, inputs, grad: grad",
        "grad passes through",
    ),
    (
        "02.4",
        """
        def my_backward(layers, inputs, grad):
            from torch.utils.checkpoint import checkpoint
            x = inputs[0]
            for layer in layers:
                x = checkpoint(layer, x, use_reentrant=False)
            x.backward(grad)
            return inputs[0].grad
        """,
        "torch's own checkpoint",
    ),
    ("02.1", "lambda n, t, s: (n + 3 * t) * s / 1024**3", "in GiB", True),
    ("02.1", "lambda n, t, s: (n + t * 4 - t + t) * s", "four things for the trained, again", True),
    ("02.1", "lambda n, t, s: (n - t) * s + 3 * t * s", "three for the trained", True),
    ("02.1", "lambda n, t, s: (n + t) * 4 * s", "four of everything"),
    ("02.1", "lambda n, t, s: 16 * n", "16 bytes per number, from the quiz"),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            m = m / (1 - 0.9**t)
            V = v / (1 - 0.999**t)
            return w - lr * m / (V.sqrt() + 1e-8), m, v
        """,
        "m corrected for good",
        True,
    ),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            return w - lr * (m / (1 - 0.9**t)) * ((v / (1 - 0.999**t)).sqrt() + 1e-8), m, v
        """,
        "times the root",
    ),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            return lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8), m, v
        """,
        "the step alone",
        True,
    ),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            return w - lr * (m * (1 - 0.9**t)) / ((v * (1 - 0.999**t)).sqrt() + 1e-8), m, v
        """,
        "times the correction",
        True,
    ),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.99 * v + 0.01 * g**2
            return w - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8), m, v
        """,
        "0.99, as RMSprop has it",
    ),
    (
        "02.2",
        """
        def f(w, g, m, v, t, lr):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            w = w - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            return w, v, m
        """,
        "v before m",
        True,
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            for k, s in e:
                d.setdefault(k, []).append(s)
            return d
        """,
        "a list of blocks for each kind",
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            for k, s in e:
                d[k] = max(d.get(k, 0), d.get(k, 0) + s)
            return d
        """,
        "the larger of before and after",
        True,
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            best = {}
            for k, s in e:
                d[k] = d.get(k, 0) + s
                if len(d) >= len(best):
                    best = dict(d)
            return best
        """,
        "a new kind makes the moment",
        True,
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            best = {}
            for k, s in e:
                d[k] = d.get(k, 0) + s
                if d[k] > best.get(k, 0):
                    best = dict(d)
            return best
        """,
        "a kind's own record",
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            best, p = {}, 0
            for k, s in e:
                d[k] = d.get(k, 0) + s
                if sum(d.values()) > p:
                    p = sum(d.values())
                    best.update(d)
            return best, p
        """,
        "the ledger, and its total",
    ),
    (
        "02.3",
        """
        def f(e):
            d = {}
            best, p = {}, 0
            for k, s in e:
                d[k] = d.get(k, 0) + s
                p += s
                if p > sum(best.values()):
                    best = d
            return best
        """,
        "a running sum, no copy",
        True,
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for i in reversed(range(len(layers))):
                y = layers[i](inputs[i])
                y.backward(grad)
                grad = inputs[i].grad
            return grad
        """,
        "inputs[i] as it is",
        True,
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for i in reversed(range(len(layers))):
                x = inputs[i].requires_grad_()
                y = layers[i](x)
                y.backward()
                grad = x.grad
            return grad
        """,
        "backward without its argument",
        True,
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for i in range(len(layers)):
                x = inputs[i].detach().requires_grad_()
                layers[-i](x).backward(grad)
                grad = x.grad
            return grad
        """,
        "minus i counts from the end",
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for l, x in zip(layers[::-1], inputs[::-1]):
                x = x.detach().requires_grad_()
                grad, = torch.autograd.grad(l(x), list(l.parameters()), grad)
            return grad
        """,
        "gradients of the weights only",
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for l, x in zip(layers[::-1], inputs[::-1]):
                x = x.detach().requires_grad_()
                l(x).backward(grad)
                g = x.grad
            return g
        """,
        "another name in the loop",
        True,
    ),
    (
        "02.4",
        """
        def f(layers, inputs, grad):
            for l, x in zip(layers[::-1], inputs[::-1]):
                x = x.detach().requires_grad_()
                l.zero_grad()
                l(x).backward(torch.ones_like(grad))
                grad = grad * x.grad
            return grad
        """,
        "ones, then times grad",
    ),
]
