"""`mml run`: what it reads of Snakemake, what it reckons, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from checkouts import Checkout, write_yaml
from hypothesis import given
from hypothesis import strategies as st

from mml_core.commands import program
from mml_core.commands.program import call
from mml_core.config.flow import Tvl1
from mml_core.errors import InputError
from mml_core.run_command import child, command
from mml_core.run_command.choice import chosen
from mml_core.run_command.command import RunOptions
from mml_core.run_command.events import MARK, Announced, Failed, Finished, Job, Message, Noise, read_events
from mml_core.run_command.expected import tvl1_work
from mml_core.run_command.progress import Expected, Progress
from mml_core.run_command.text import ending, log_tail, name_of, span

TRAIN = Job("train_stage", (("dataset", "d"), ("stage", "rgb-0123456789")), ("logs/rgb.log",))
SCORE = Job("score_stage", (("dataset", "d"), ("protocol", "p"), ("split", "test"), ("stage", "rgb-0123456789")))
SMALL = Expected("small", 1.0)


def line(**told: object) -> str:
    return MARK + json.dumps({"event": None, "level": "INFO", "text": "", **told}) + "\n"


def test_events_are_read_and_everything_else_is_noise() -> None:
    about = {"rule_name": "train_stage", "wildcards": dict(TRAIN.wildcards), "log": ["logs/rgb.log"]}
    lines = [
        "Traceback (most recent call last):\n",
        line(event="run_info", stats={}),
        line(event="job_info", jobid=3, **about),
        line(event="job_info", jobid=0, rule_name="all"),
        line(event="job_finished", job_id=3),
        line(event="job_error", jobid=3, rule_name="train_stage"),
        line(level="WARNING", text="odd"),
        line(text="Building DAG of jobs..."),
        line(event="error", level="ERROR", text="wrong"),
    ]
    assert list(read_events(lines)) == [
        Noise("Traceback (most recent call last):"),
        Announced(3, TRAIN),
        Finished(3),
        Failed(3),
        Message("odd", is_error=False),
        Message("wrong", is_error=True),
    ]


def test_time_left_follows_what_jobs_of_the_kind_took() -> None:
    jobs = [Job("train_stage", (("stage", str(number)),)) for number in range(4)]
    progress = Progress({job.key: Expected("train", 100.0) for job in jobs}, 0.0)
    assert progress.left_sec(0.0) == 400 and progress.share(0.0) == 0
    progress.start(jobs[0], 0.0, SMALL)
    assert progress.share(50.0) == pytest.approx(50 / 400)
    assert progress.finish(jobs[0], 200.0) == 200, "twice what was expected"
    assert progress.left_sec(200.0) == pytest.approx(600) and progress.share(200.0) == pytest.approx(0.25)
    for job in jobs[1:]:
        progress.start(job, 200.0, SMALL)
    assert progress.left_sec(300.0) == pytest.approx(300 * 300 / 500), "several at a time"
    for job in jobs[1:]:
        progress.finish(job, 400.0)
    assert progress.share(400.0) == 1 and progress.left_sec(400.0) == 0 and progress.jobs_left == 0


def test_a_kind_of_which_none_is_done_takes_what_was_expected() -> None:
    progress = Progress({TRAIN.key: Expected("train", 10.0), SCORE.key: Expected("score", 10.0)}, 0.0)
    progress.start(TRAIN, 0.0, SMALL)
    progress.finish(TRAIN, 30.0)
    assert progress.seconds_of(SCORE) == 10


def test_a_job_that_was_not_expected_counts_as_well() -> None:
    progress = Progress({}, 0.0)
    progress.start(TRAIN, 0.0, SMALL)
    assert progress.jobs_left == 1 and progress.left_sec(0.5) == pytest.approx(0.5)
    assert progress.left_sec(1000.0) == pytest.approx(0.05), "late, and not done"


@given(st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=1, max_size=8))
def test_shares_are_shares(jobs: list[tuple[float, float]]) -> None:
    progress = Progress({("r", (("n", str(n)),)): Expected("k", one[0]) for n, one in enumerate(jobs)}, 0.0)
    now = 0.0
    for number, (_, took) in enumerate(jobs):
        job = Job("r", (("n", str(number)),))
        progress.start(job, now, SMALL)
        now += took
        progress.finish(job, now)
        assert 0 < progress.share(now) <= 1 and progress.left_sec(now) >= 0
    assert progress.share(now) == 1


def test_words() -> None:
    assert name_of(TRAIN) == "train rgb" and name_of(SCORE) == "score rgb on test"
    shard = Job("make_derived_shard", (("dataset", "d"), ("modality", "flow-01"), ("shard", "train-ab")))
    assert name_of(shard) == "make flow, shard train-ab"
    assert name_of(Job("stack_figures", (("figure", "curve"),))) == "stack figures curve"
    assert [span(value) for value in (3.4, 59, 600, 3600 * 2.5, 3600 * 30)] == [
        "3 s",
        "59 s",
        "10 min",
        "2 h 30 min",
        "30 h",
    ]


def test_how_a_job_ended() -> None:
    assert ending("Command 'x' returned non-zero exit status 1.") == "" and ending("") == ""
    assert ending("Command 'x' died with <Signals.SIGKILL: 9>.") == " (ended by SIGKILL: too little memory?)"
    assert ending("Command 'x' returned non-zero exit status 137.") == " (ended by a signal)"


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\xff first\n" + b"".join(b"line %d\n" % number for number in range(100)))
    told = log_tail([str(tmp_path / "no.log"), str(log)])
    assert told.startswith(f"the end of its log, {log}:") and told.endswith("  | line 99") and "line 79" not in told
    assert log_tail(["no.log"]) == "its log: no.log" and log_tail([]) == ""


def test_flow_with_fewer_iterations_is_expected_to_take_less() -> None:
    assert tvl1_work(Tvl1()) == 1
    assert tvl1_work(Tvl1(warps=1)) == pytest.approx(1 / 5)


def test_what_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "checkout"
    write_yaml(root / "config/config.yaml", {"dataset": "demo", "recipe": ["one", "two"], "device": "cpu"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert chosen(root, None, []).dataset == "demo", "nothing is here: the checkout's own"
    for name in ("yoga", "other"):
        write_yaml(Path(f"config/datasets/{name}.yaml"), {})
    write_yaml(Path("config/recipes/yoga.yaml"), {})
    found = chosen(root, None, [], device=None, tracker="wandb")
    assert (found.dataset, found.recipe, found.device, found.tracker) == ("yoga", ("yoga",), "cpu", "wandb")
    assert chosen(root, "other", []).recipe == ("one", "two") and chosen(root, "yoga", ["one"]).recipe == ("one",)
    assert chosen(root, None, ["one"]).dataset == "demo"
    write_yaml(Path("config/recipes/other.yaml"), {})
    with pytest.raises(InputError, match=r"several data sets are described here\n.*--dataset: other, yoga"):
        chosen(root, None, [])
    write_yaml(Path("config/config.yaml"), {"dataset": "other", "recipe": ["yoga"]})
    assert (chosen(root, None, []).dataset, chosen(root, None, []).recipe) == ("other", ("yoga",))
    with pytest.raises(InputError, match="dataset"):
        chosen(root, "../x", [])


#: Stands in for Snakemake: tells of a job and, once Ctrl-C reaches it, ends as that does.
STAND_IN = """#!{python}
import json, sys, time
print("\\x1e" + json.dumps({{"event": "job_info", "level": "INFO", "text": "", "jobid": 1, "rule_name": "train_stage",
      "wildcards": {{}}, "log": []}}), flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_requests_to_stop_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    program = tmp_path / "stand_in"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(program))
    before = signal.getsignal(number)
    found = []
    with child.running([], tmp_path) as run:
        for event in read_events(run.lines):
            found.append(event)
            if isinstance(event, Announced):
                threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        assert (run.status(), run.stopped_by) == (1, number)
    assert found[-1] == Noise("interrupted") and signal.getsignal(number) == before


def test_a_child_ends_with_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "stand_in"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(program))
    with pytest.raises(KeyError), child.running([], tmp_path) as run:
        next(read_events(run.lines))
        raise KeyError
    assert run._process.poll() is not None


def test_options_of_snakemake_stand_behind_two_dashes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[RunOptions] = []
    monkeypatch.setattr(command, "run_workflow", asked.append)
    call(["run", "a.csv", "-n", "--gpus", "0", "--", "--keep-going", "-n", "--cores", "3"])
    assert (asked[0].targets, asked[0].dry_run, asked[0].cores, asked[0].gpus) == (("a.csv",), True, None, 0)
    assert asked[0].more == ("--keep-going", "-n", "--cores", "3")
    for words in (["run", "--datset", "demo"], ["run", "-k"], ["run", "--tracker", "neptune"]):
        with pytest.raises(SystemExit) as end:
            call(words)
        assert end.value.code == 2 and "Hint: `mml run --help`" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], [], *([name, "--help"] for name in ("run", "start", "cost", "flow"))])
def test_help_imports_nothing_that_takes_time(words: list[str]) -> None:
    code = (
        "import sys\nfrom mml_core.commands.program import call\n"
        f"call({words})\nprint([name for name in ('torch', 'cv2', 'snakemake', 'numba') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("[]") and "mml" in ended.stdout


def test_how_the_command_ends(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def ended(words: list[str]) -> int | str | None:
        with pytest.raises(SystemExit) as end:
            program.main(words)
        return end.value.code

    assert ended(["--version"]) == 0 and ended(["--help"]) == 0
    assert ended(["flwo"]) == 2 and 'Did you mean "flow"?' in capfd.readouterr().err
    assert ended(["cost", "--gpus", "x"]) == 2 and "Hint: `mml cost --help`" in capfd.readouterr().err
    assert ended(["start", "no_such_folder"]) == 1 and "error: no_such_folder: " in capfd.readouterr().err

    def interrupted(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "call", interrupted)
    assert ended(["flow"]) == program.EXIT_INTERRUPTED and capfd.readouterr().err == "interrupted\n"


def test_a_reader_that_leaves_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mml_core.commands.program", "flow", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.workflow
def test_the_workflow_for_people(
    finished: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing to do, then a job that fails."""
    monkeypatch.chdir(finished.root)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    call(["run"])
    said = capfd.readouterr().out
    assert "Nothing to do: everything is there." in said and "| tiny     | one    | ce_a.rgb" in said
    results = finished.root / "results"
    assert said.endswith(f"table: {results}/ensemble_table.csv\nreport: {results}/report.html\n")

    table = finished.root / "results/tiny/tables/two/ensemble_table.csv"
    table.unlink()
    script = finished.root / "workflow/scripts/ensemble_table.py"
    script.write_text("raise SystemExit('a fault of ours')\n")
    with pytest.raises(SystemExit) as end:
        call(["run", str(table.relative_to(finished.root)), "--", "--rerun-triggers", "mtime"])
    told = capfd.readouterr()
    assert end.value.code == 1 and "the same command goes on" in told.err
    assert "1 jobs, about 6 s on " in told.out and not table.exists()
    assert "FAILED: table ensemble_table; the end of its log, logs/tiny/tables/two/ensemble_table.log:" in told.err
    assert "  | a fault of ours" in told.err and "Traceback" not in told.err
