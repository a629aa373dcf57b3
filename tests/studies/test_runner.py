"""A study that is killed and resumed ends like one that ran through, and what is stored was made by its recipe."""

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import doomed
import psutil
import pytest
import tiny_study
from hypothesis import given, settings
from hypothesis import strategies as st

from studies import (
    adapter_blends,
    adapter_routing,
    bitsandbytes_trap,
    canary,
    capacity,
    forensics,
    full_update,
    full_vs_lora,
    gguf_rows,
    intrinsic_dimension,
    make_adapters,
    membership,
    merge_aware,
    merge_routes,
    qlora_vs_lora,
    tickets_controls,
    trigger,
)
from studies import runner as runner_module
from studies.choices import __main__ as choices
from studies.court import cost, final, rates
from studies.data_size import __main__ as data_size
from studies.forgetting import __main__ as forgetting
from studies.processes import in_a_process
from studies.real_tasks import __main__ as real_tasks
from studies.results import RESULTS
from studies.row_quality import files as row_quality
from studies.runner import Study, StudyError, main
from studies.task_baselines.tables import TABLES
from studies.task_baselines.tables import study as baselines_of

MODULES = (
    full_update,
    full_vs_lora,
    tickets_controls,
    bitsandbytes_trap,
    qlora_vs_lora,
    merge_routes,
    merge_aware,
    gguf_rows,
    capacity,
    canary,
)
OF_ADAPTERS = (make_adapters.table(), make_adapters.controls(), adapter_blends.STUDY, adapter_routing.STUDY)
OF_THE_COURT = (rates.study(), final.study(), cost.study())
OF_CHOICES = [stage() for stages in choices.STAGES.values() for stage in stages]
OF_REAL_TASKS = [*map(baselines_of, TABLES), *(stage() for stage in real_tasks.STAGES.values())]
OF_FORGETTING = [stage() for stage in forgetting.STAGES.values()]
OF_FORENSICS = (forensics.study(), membership.study(), trigger.study())
OF_DATA = [*(stage() for stage in data_size.STAGES.values()), row_quality.study()]
OTHERS = (*OF_CHOICES, intrinsic_dimension.study(), *OF_REAL_TASKS, *OF_FORGETTING, *OF_DATA, *OF_FORENSICS)
STUDIES = [*(module.STUDY for module in MODULES), *OF_ADAPTERS, *OF_THE_COURT, *OTHERS]
GRID = [{"letter": letter, "α": number} for letter in "ab" for number in (1, 2.5, None)]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no limit of a file's size")
ABOUT = {"date": "2026-11-22", "machine": "a laptop", "versions": {"torch": "2.9"}}


def measured(setting: dict) -> dict:
    return {"text": f"{setting} ä", "numbers": [len(setting["letter"]), 0.1]}


def of(folder: Path, **changes) -> Study:
    return replace(Study("small", {"seed": 0}, GRID, measured, folder=folder), **changes)


def tidy(study: Study) -> dict:
    """What a study wrote, but for what depends on the clock."""
    content = json.loads((study.folder / f"{study.name}.json").read_text())
    return {name: part for name, part in content.items() if name not in ("date", "seconds")}


# ---- what is stored


@pytest.mark.parametrize("study", [study for study in STUDIES if not study.missing()], ids=lambda study: study.name)
def test_a_stored_result_is_what_its_lines_and_todays_recipe_make(study):
    assert json.loads((study.folder / f"{study.name}.json").read_text()) == json.loads(json.dumps(study.result()))


def test_every_file_of_lines_is_of_a_study():
    assert set((RESULTS / "lines").iterdir()) <= {study.lines for study in STUDIES}


# ---- killed and resumed


class Killed(BaseException):
    """The process ends here."""


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_however_often_it_is_killed_the_result_is_that_of_one_that_ran_through(data):
    """A kill during a run leaves no line of it, a kill during a write leaves any part of the file's last line."""
    with TemporaryDirectory() as through, TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, "provenance", lambda *_: ABOUT)  # the real one takes most of the time
        expected, study = of(Path(through)), of(Path(folder))
        assert expected.complete() == []
        calls = 0
        for _ in range(data.draw(st.integers(0, 4), "kills")):
            survive = data.draw(st.integers(0, len(GRID)), "runs before the kill")

            def killed(setting, survive=survive, begun=calls):
                nonlocal calls
                if calls - begun == survive:
                    raise Killed
                calls += 1
                return measured(setting)

            order = data.draw(st.permutations(GRID), "order on this machine")
            try:
                replace(study, grid=order, run=killed).complete(runs=data.draw(st.integers(0, 9), "--runs"))
            except Killed:
                pass
            if study.lines.exists() and (content := study.lines.read_bytes()):
                last = len(content) - content[:-1].rfind(b"\n") - 1 if content.endswith(b"\n") else 0
                lost = data.draw(st.integers(0, last), "bytes that were not written")
                study.lines.write_bytes(content[: len(content) - lost])
                calls -= lost > 0
            assert len(study.missing()) == len(GRID) - calls
        assert study.complete() == []
        assert tidy(study) == tidy(expected)
        assert len(study.lines.read_bytes().splitlines()) == len(GRID), "no run was made twice, and none was glued"


@posix
@pytest.mark.slow
def test_killed_three_times_and_resumed_a_real_study_equals_one_that_ran_through(tmp_path):
    server = get_context("forkserver")
    server.set_forkserver_preload(["transformers", "datasets", "bitsandbytes", "labkit.training.loop", "labkit.base"])
    whole, cut = tiny_study.study(tmp_path / "whole"), tiny_study.study(tmp_path / "cut")

    def begin(*arguments):
        process = server.Process(target=tiny_study.go_on, args=arguments)
        process.start()
        return process

    through = begin(whole.folder)
    through.join()
    assert through.exitcode == 0
    lines = whole.lines.read_bytes().splitlines(keepends=True)
    pace = median(json.loads(line)["seconds"] for line in lines)
    for kill in range(3):
        there = cut.lines.read_bytes() if cut.lines.exists() else b""
        if kill == 1:  # while it writes: the file may take a part of one more line only
            limit = len(there) + random.randint(1, min(map(len, lines)) - 1)
            process = begin(cut.folder, limit)
        else:
            process = begin(cut.folder)
            while cut.lines.read_bytes() == there if cut.lines.exists() else True:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 2 * pace))
            process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if kill == 1:
            assert not cut.lines.read_bytes().endswith(b"\n"), "the line it wrote is torn"
    assert cut.missing() and not (cut.folder / "tiny.json").exists()
    resumed = begin(cut.folder)
    resumed.join()
    assert resumed.exitcode == 0 and tidy(cut) == tidy(whole)
    assert tidy(cut)["runs"][0]["losses"] != tidy(cut)["runs"][-1]["losses"]


@pytest.mark.slow
def test_two_processes_share_a_study_and_make_each_run_once(tmp_path):
    both, alone = tiny_study.study(tmp_path / "both"), tiny_study.study(tmp_path / "alone")
    context = get_context("spawn")
    processes = [context.Process(target=tiny_study.go_on, args=(study.folder,)) for study in (both, both, alone)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(both.lines.read_bytes().splitlines()) == len(both.grid)
    assert tidy(both) == tidy(alone)


def test_a_run_that_another_process_has_is_left_to_it(tmp_path):
    study, others = of(tmp_path), []

    def at_the_same_time(setting):
        if not others:  # in the middle of a run, somebody begins the same study, and comes to the end of it first
            others.append(setting)
            others.append(study.complete())
        return measured(setting)

    assert replace(study, run=at_the_same_time).complete() == []
    assert others == [GRID[0], [GRID[0]]]
    assert len(study.lines.read_bytes().splitlines()) == len(GRID)


# ---- the file of lines


def test_a_torn_line_is_run_again_and_never_glued_to_the_next(tmp_path):
    study = of(tmp_path)
    study.complete(runs=2)
    torn = study.lines.read_bytes()[:-5]
    study.lines.write_bytes(torn)
    assert study.missing() == GRID[1:]
    assert study.lines.read_bytes() == torn, "looking changes nothing"
    study.complete(runs=1)
    assert [json.loads(line)["setting"] for line in study.lines.read_bytes().splitlines()] == GRID[:2]


@pytest.mark.parametrize("line", ["", "3", "{}", '{"setting": {}}', "<<<<<<< mine", '{"setting": {}, "rec'])
def test_a_damaged_line_among_others_is_refused_by_its_number(tmp_path, line):
    study = of(tmp_path)
    study.complete(runs=2)
    first, second = study.lines.read_text().splitlines()
    study.lines.write_text(f"{first}\n{line}\n{second}\n")
    with pytest.raises(StudyError, match=r"small\.jsonl:2 is damaged: remove the line"):
        study.complete()


def test_another_recipe_is_refused_and_nothing_is_run_or_lost(tmp_path):
    of(tmp_path).complete(runs=2)
    before = of(tmp_path).lines.read_bytes()
    other = of(tmp_path, recipe={"seed": 1}, run=pytest.fail)
    with pytest.raises(StudyError, match=r"small\.jsonl:1 has another recipe"):
        other.complete()
    assert of(tmp_path).lines.read_bytes() == before


def test_settings_may_join_the_grid_and_leave_it(tmp_path):
    of(tmp_path).complete()
    ran = []
    grid = [{"letter": "c", "α": 0}, *GRID[:2]]
    study = of(tmp_path, grid=grid, run=lambda setting: ran.append(setting) or measured(setting))
    assert study.complete() == [] and ran == grid[:1]
    assert [{name: run[name] for name in ("letter", "α")} for run in tidy(study)["runs"]] == grid


def test_a_result_names_every_machine_and_day_it_comes_from(tmp_path, monkeypatch):
    def on(day, machine, **versions):
        about = {"date": day, "machine": machine, "versions": versions}
        monkeypatch.setattr(runner_module, "provenance", lambda *_: about)

    on("2026-11-23", "a laptop", torch="2.9")
    of(tmp_path).complete(runs=3)
    on("2026-11-22", "a server", torch="2.10", peft="1")
    of(tmp_path).complete()
    found = of(tmp_path).result()
    assert (found["date"], found["machine"]) == ("2026-11-22 and 2026-11-23", "a laptop and a server")
    assert found["versions"] == {"torch": "2.10 and 2.9", "peft": "1"}
    with pytest.raises(StudyError, match="seconds from a laptop and a server, which can't be compared: move the file"):
        of(tmp_path, timed=True).result()


# ---- a run in a process of its own


@posix
def test_a_run_that_dies_gives_one_sentence_and_can_be_run_again(tmp_path):
    grid = [{"n": n, "marker": str(tmp_path / "marker")} for n in range(3)]
    study = of(tmp_path, grid=grid, run=doomed.run, apart=True)
    with pytest.raises(
        StudyError, match=r"^the run \{'n': 1, .*\} died with exit code -9: start again to go on from it$"
    ):
        study.complete()
    assert study.missing() == grid[1:]
    with pytest.raises(StudyError, match=r"'n': 2, .* died with exit code 1:"):
        study.complete()
    assert study.missing() == grid[2:]
    stored = [json.loads(line)["result"] for line in study.lines.read_bytes().splitlines()]
    assert stored == 2 * [{"parent": os.getpid()}]


def test_an_orphan_ends_with_its_parent(tmp_path):
    """It would slow down the run that takes its place."""
    marker = tmp_path / "marker"
    parent = get_context("spawn").Process(target=in_a_process, args=(doomed.linger, {"marker": str(marker)}))
    parent.start()
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.01)
    orphan = psutil.Process(int(marker.read_text()))
    parent.kill()
    orphan.wait(timeout=30)


# ---- the command line


def test_the_command_line_lists_limits_and_refuses(tmp_path, capsys, monkeypatch):
    def command(study, *arguments):
        monkeypatch.setattr(sys, "argv", ["study", *arguments])
        main(study, "What it is.\n\nAnd more.")
        return capsys.readouterr().out.splitlines()

    study = of(tmp_path, grid=GRID[:3])
    assert command(study, "--list")[-1] == "small: 0 of 3 runs are stored" and not study.lines.exists()
    assert command(study, "--minutes", "0")[-1] == "small: 0 of 3 runs are stored"
    missing = [f"missing: {json.dumps(setting, ensure_ascii=False)}" for setting in GRID[2:3]]
    assert command(study, "--runs", "2")[2:] == [*missing, "small: 2 of 3 runs are stored"]
    assert not (tmp_path / "small.json").exists()
    assert command(study)[-1] == "small: 3 of 3 runs are stored" and tidy(study)["runs"]
    with pytest.raises(SystemExit, match="another recipe"):
        command(of(tmp_path, recipe={}))
