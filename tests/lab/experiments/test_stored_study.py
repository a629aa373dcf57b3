"""A stored study is of the day on which it ended."""

import json

from labkit.lab.experiments.stored_study import read


def test_a_study_that_took_days_is_of_the_last_one(tmp_path):
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"date": "2026-11-29 and 2026-11-30", "runs": []}))
    assert read(path) == {"date": "2026-11-29 and 2026-11-30", "day": "2026-11-30", "runs": []}
