"""Wrong answers to notebook 01's exercises; the package says what a tuple holds."""

WRONG = [
    ("01.1", "lambda m, n, r: r * (m + n) / (m * n)", "upside down", True),
    ("01.1", "lambda m, n, r: m * n / (r * m)", "the columns only", True),
    ("01.1", "lambda m, n, r: m * n / (r * n)", "the rows only", True),
    ("01.1", "lambda m, n, r: m * n / (r * m * n)", "factors times each other", True),
    ("01.1", "lambda m, n, r: m * n // (r * (m + n))", "as on the page, with //", True),
    ("01.1", "lambda m, n, r: m * n - r * (m + n)", "how many fewer", True),
    ("01.1", "lambda m, n, r: m * n / (m + n)", "rank forgotten", True),
    ("01.1", "lambda m, n, r: m * n / r * (m + n)", "brackets forgotten", True),
    ("01.1", "lambda m, n, r: m * n / r * m + n", "all brackets forgotten", True),
    ("01.1", "lambda m, n, r: m * n / (r * m + n)", "r times the columns only", True),
    ("01.1", "lambda m, n, r: m * n / (m + r * n)", "r times the rows only", True),
    ("01.1", "lambda m, n, r: m * n / (r * (m + n + 1))", "the singular values count, too", True),
    ("01.1", "lambda m, n, r: m * n / (r * (m + n) + r * r)", "Sigma is r by r", True),
    ("01.1", "lambda m, n, r: r * (m + n)", "how many numbers the factors hold", True),
    ("01.1", "lambda m, n, r: 1 - r * (m + n) / (m * n)", "the share saved", True),
    ("01.1", "lambda m, n, r: m * n / (2 * r * m)", "square, as in the example", True),
    ("01.1", "lambda m, n, r: m * n / (r * r)", "an r by r core", True),
    ("01.1", "lambda m, n, r: min(m, n) / r", "all pieces over kept pieces", True),
    ("01.1", "lambda m, n, r: 4096 * 4096 / (r * (4096 + 4096))", "the page's size", True),
    ("01.1", "lambda m, n, r: m * n / (r * m * r * n)", "the two factors multiplied", True),
    ("01.1", "lambda m, n, r: (m + n) / (m * n * r)", "mixed up"),
    ("01.1", "lambda m, n, r: m + n / (r * (m + n))", "plus for times"),
    ("01.1", "lambda m, n, r: round(m * n / (r * (m + n)))", "rounded", True),
    ("01.1", "def my_saving(m, n, r):\n    print(m * n / (r * (m + n)))", "print"),
    ("01.1", "lambda m, n, r: 256", "the page's answer", True),
    ("01.1", "lambda m, n, r: m * n / (r * (m + n - r))", "the degrees of freedom, as Wikipedia says"),
    (
        "01.2",
        "def my_low_rank(W, r):\n    U, S, Vh = torch.linalg.svd(W, full_matrices=False)\n    return U[:, :r] @ Vh[:r]",
        "sigma forgotten",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r]) @ Vh[:r].T
        """,
        "numpy's V needs a transpose",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r]) @ Vh[:, :r]
        """,
        "columns of Vh",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r]) @ Vh[:, :r].T
        """,
        "Vh holds columns, as V does",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:r] @ torch.diag(S) @ Vh[:, :r]
        """,
        "rows of U",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, r] * S[r] @ Vh[r]
        """,
        "the r-th piece, with @",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return S[r] * torch.outer(U[:, r], Vh[r])
        """,
        "one piece, number r",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return S[r - 1] * torch.outer(U[:, r - 1], Vh[r - 1])
        """,
        "only the r-th piece",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r + 1] @ torch.diag(S[:r + 1]) @ Vh[:r + 1]
        """,
        "one piece too many",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            result = torch.zeros_like(W)
            for i in range(1, r):
                result += S[i] * torch.outer(U[:, i], Vh[i])
            return result
        """,
        "range(1, r)",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            result = torch.zeros_like(W)
            for i in range(1, r + 1):
                result += S[i] * torch.outer(U[:, i], Vh[i])
            return result
        """,
        "counting pieces from 1",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            result = torch.zeros_like(W)
            for i in range(r - 1):
                result += S[i] * torch.outer(U[:, i], Vh[i])
            return result
        """,
        "one piece too few",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, -r:] @ torch.diag(S[-r:]) @ Vh[-r:]
        """,
        "the last are the largest, as eigh sorts them",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, r:] @ torch.diag(S[r:]) @ Vh[r:]
        """,
        "what's left over",
        True,
    ),
    ("01.2", "lambda W, r: W[:r]", "the first rows", True),
    ("01.2", "lambda W, r: W[:, :r]", "the first columns", True),
    ("01.2", "lambda W, r: W[:r, :r]", "the upper left corner", True),
    ("01.2", "lambda W, r: W", "W itself is closest", True),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U @ torch.diag(S) @ Vh
        """,
        "all pieces",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r], S[:r], Vh[:r]
        """,
        "the three parts",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return Vh[:r].T @ torch.diag(S[:r]) @ U[:, :r].T
        """,
        "the order turned round",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r] ** 2) @ Vh[:r]
        """,
        "energy is squared",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r].sqrt()) @ Vh[:r]
        """,
        "the root of sigma",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return S[:r, None] * U[:, :r] @ Vh[:r]
        """,
        "S down the rows of U",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r] * Vh[:r]
        """,
        "* multiplies matrices, as np.matrix does",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            for i in range(r):
                result = S[i] * torch.outer(U[:, i], Vh[i])
            return result
        """,
        "= for +=",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            S[:r] = 0
            return U @ torch.diag(S) @ Vh
        """,
        "zeroed the wrong ones",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            torch.manual_seed(0)
            U, S, V = torch.svd_lowrank(W, q=r, niter=0)
            return U @ torch.diag(S) @ V.T
        """,
        "the quick SVD does it",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, V = torch.svd(W)
            return U[:, :r] @ torch.diag(S[:r]) @ V[:r]
        """,
        "torch.svd's V is a Vh",
        True,
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            U, S, Vh = torch.linalg.svd(W)
            return U @ torch.diag(S) @ Vh[:r]
        """,
        "cut on one side only",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            mean = W.mean(0)
            U, S, Vh = torch.linalg.svd(W - mean, full_matrices=False)
            return (U[:, :r] * S[:r]) @ Vh[:r] + mean
        """,
        "PCA subtracts the mean",
    ),
    (
        "01.2",
        """
        def my_low_rank(W, r):
            return (W * 10**r).round() / 10**r
        """,
        "rank is the number of digits",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r], Vh[:r]
        """,
        "sigma forgotten",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r], S[:r, None] * Vh[:r]
        """,
        "sigma into both",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return Vh[:r], U[:, :r] * S[:r]
        """,
        "A, B",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r]) @ Vh[:r]
        """,
        "multiplied already",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r], S[:r], Vh[:r]
        """,
        "three factors",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U @ torch.diag(S), Vh
        """,
        "not cut",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return (U[:, :r] * S[:r]).T, Vh[:r].T
        """,
        "both transposed",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r], Vh[:r].T
        """,
        "A as a column, as V is",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r], Vh[:, :r]
        """,
        "columns of Vh",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r], Vh[:, :r].T
        """,
        "columns of Vh, made flat",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:r].T * S[:r], Vh[:r]
        """,
        "rows of U",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, -r:] * S[-r:], Vh[-r:]
        """,
        "the smallest pieces",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r - 1] * S[:r - 1], Vh[:r - 1]
        """,
        "one too few",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, 1:r + 1] * S[1:r + 1], Vh[1:r + 1]
        """,
        "counting from 1",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            m, n = W.shape
            B = torch.zeros(m, r)
            A = torch.randn(r, n)
            return B, A
        """,
        "as LoRA begins",
        True,
    ),
    ("01.3", "lambda W, r: (torch.randn(W.shape[0], r), torch.randn(r, W.shape[1]))", "the shapes are all"),
    ("01.3", "lambda W, r: (W[:, :r], W[:r])", "W's own columns and rows", True),
    (
        "01.3",
        """
        def my_factors(W, r):
            Q, R = torch.linalg.qr(W)
            return Q[:, :r], R[:r]
        """,
        "QR, cut",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r] / 2, Vh[:r] * S[:r, None] / 2
        """,
        "half of sigma each",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            S = S[:r].sqrt()
            return U[:, :r] * S, Vh[:r]
        """,
        "the root in one of them only",
        True,
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r].sum(), Vh[:r]
        """,
        "one sigma for all",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            print(U[:, :r] * S[:r], Vh[:r])
        """,
        "print",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return torch.diag(S[:r]) @ U[:, :r], Vh[:r]
        """,
        "sigma from the left",
    ),
    (
        "01.3",
        """
        def my_factors(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            S[r:] = 0
            return U @ torch.diag(S), Vh
        """,
        "the rest zeroed, the shapes whole",
        True,
    ),
    ("01.4", "lambda S, share: int((S.cumsum(0) / S.sum() < share).sum()) + 1", "singular values not squared", True),
    ("01.4", "lambda S, share: int(((S**2).cumsum(0) / (S**2).sum() < share).sum())", "how many are below", True),
    (
        "01.4",
        "lambda S, share: int(((S**2).cumsum(0) / (S**2).sum() <= share).sum()) + 1",
        "at least read as more than",
        True,
    ),
    ("01.4", "lambda S, share: int(((S**2).cumsum(0) / (S**2).sum() > share).sum())", "counted those above", True),
    ("01.4", "lambda S, share: int(((S**2).cumsum(0) < share).sum()) + 1", "not divided by the total", True),
    ("01.4", "lambda S, share: int((S**2 / (S**2).sum() < share).sum()) + 1", "no running sum", True),
    ("01.4", "lambda S, share: int((S > share * S[0]).sum())", "larger than a share of the largest", True),
    ("01.4", "lambda S, share: math.ceil(share * len(S))", "that share of the pieces", True),
    ("01.4", "lambda S, share: int(share * len(S))", "that share of the pieces, rounded down", True),
    ("01.4", "lambda S, share: int((S > 0).sum())", "the rank"),
    (
        "01.4",
        "lambda S, share: int((((S**2).cumsum(0) / (S**2).sum()).sqrt() < share).sum()) + 1",
        "size, the root",
        True,
    ),
    (
        "01.4",
        "lambda S, share: ((S**2).cumsum(0) / (S**2).sum() >= share).nonzero()[0].item()",
        "argmax counts from 0",
        True,
    ),
    ("01.4", "lambda S, share: ((S**2).cumsum(0) / (S**2).sum())", "the shares themselves", True),
    ("01.4", "lambda S, share: 3", "the page's answer"),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(len(S)):
                if (S[:r]**2).sum() / total > share:
                    return r
        """,
        "range ends before len, and >",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(1, len(S)):
                if (S[:r]**2).sum() >= share * total:
                    return r
        """,
        "never the last r",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(len(S)):
                if (S[:r + 1]**2).sum() >= share * total:
                    return r
        """,
        "r is the last piece's index",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = S.sum()**2
            kept = 0
            for r, s in enumerate(S, 1):
                kept += s**2
                if kept >= share * total:
                    return r
            return len(S)
        """,
        "the square of the sum",
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            kept = 0
            for r, s in enumerate(S, 1):
                kept = s**2
                if kept >= share * total:
                    return r
            return len(S)
        """,
        "= for +=",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            kept = 0
            for r, s in enumerate(reversed(S), 1):
                kept += s**2
                if kept >= share * total:
                    return r
        """,
        "from the smallest",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            r = len(S)
            while (S[:r]**2).sum() >= share * total:
                r -= 1
            return r
        """,
        "stopped one too late on the way down",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(1, len(S) + 1):
                if (S[:r]**2).sum() >= share * total:
                    print(r)
                    break
        """,
        "print",
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(1, len(S) + 1):
                if (S[:r]**2).sum() >= (1 - share) * total:
                    return r
        """,
        "share may be lost",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(1, len(S) + 1):
                if (S[r:]**2).sum() <= share * total:
                    return r
        """,
        "what's left, with the share not turned round",
        True,
    ),
    (
        "01.4",
        """
        def my_rank(S, share):
            total = (S**2).sum()
            for r in range(1, len(S) + 1):
                if (S[:r]**2).sum() / total >= share / 100:
                    return r
        """,
        "share is in percent",
    ),
    ("01.1", "lambda m, n, r: (m * n) / (2 * r * n)", "two factors of n", True),
    ("01.1", "lambda m, n, r: m * n / (r + m + n)", "r once"),
    ("01.1", "lambda m, n, r: int(m * n / (r * (m + n)))", "int of the quotient", True),
    ("01.1", "lambda m, n, r: m * n / max(r * m, r * n)", "the larger factor only", True),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ S[:r] @ Vh[:r, :]
        """,
        "S between the two",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return sum(torch.outer(U[:, i], Vh[i]) for i in range(r))
        """,
        "outer products are all",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return sum(S[i] * torch.outer(U[:, i], Vh[:, i]) for i in range(r))
        """,
        "columns of both",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S) @ Vh[:r]
        """,
        "S left whole",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U @ torch.diag(S[:r]) @ Vh
        """,
        "S is what counts",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return S[:r].sum() * U[:, :r] @ Vh[:r]
        """,
        "all sizes at once",
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            S[r] = 0
            return U @ torch.diag(S) @ Vh
        """,
        "the r-th is one too many",
    ),
    (
        "01.2",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            S[r + 1:] = 0
            return U @ torch.diag(S) @ Vh
        """,
        "zeros from r + 1",
        True,
    ),
    (
        "01.2",
        """
        def f(W, r):
            return W.topk(r).values
        """,
        "the largest numbers",
    ),
    (
        "01.3",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] * S[:r], Vh.T[:r]
        """,
        "Vh turned back, then cut",
        True,
    ),
    (
        "01.3",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r], torch.diag(S[:r]), Vh[:r]
        """,
        "Sigma as a matrix",
        True,
    ),
    (
        "01.3",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U[:, :r] @ torch.diag(S[:r]), Vh
        """,
        "only B is cut",
        True,
    ),
    (
        "01.3",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return U, Vh[:r]
        """,
        "only A is cut",
        True,
    ),
    (
        "01.3",
        """
        def f(W, r):
            U, S, Vh = torch.linalg.svd(W, full_matrices=False)
            return W @ Vh[:r].T, Vh[:r] * S[:r, None]
        """,
        "projected, and S once more",
        True,
    ),
    (
        "01.4",
        "lambda S, share: ((S**2).cumsum(0) / (S**2).sum() >= share).nonzero()[0].item() + 2",
        "a place, plus one for each",
        True,
    ),
    ("01.4", "lambda S, share: int((S.cumsum(0) >= share * S.sum()).nonzero()[0]) + 1", "nonzero, unsquared", True),
    ("01.4", "lambda S, share: int((S**2 >= share * (S**2).sum()).sum())", "pieces that large", True),
    ("01.4", "lambda S, share: int((S**2).cumsum(0).argmax()) + 1", "argmax of the energy"),
    (
        "01.4",
        """
        def f(S, share):
            r = 0
            e = 0
            while e < share * (S**2).sum():
                e += S[r]**2
                r += 1
            return r - 1
        """,
        "a loop, taken back by one",
        True,
    ),
    ("01.4", "lambda S, share: len(S)", "all pieces"),
    ("01.4", "lambda S, share: int(((S**2).cumsum(0) / (S.sum()) < share).sum()) + 1", "squares over the plain sum"),
    ("01.4", "lambda S, share: round(share * len(S))", "rounded share of the pieces", True),
]
