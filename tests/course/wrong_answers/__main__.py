import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from wrong_answers import summary, wrong_answers  # noqa: E402

print(summary(wrong_answers()))
