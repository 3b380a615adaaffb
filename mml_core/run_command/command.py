"""The command `mml run`: the workflow, a line a job, with how far it is and what to look at in the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.config.project import ProjectConfig, TrackerName
from mml_core.cost.machine import this_machine
from mml_core.plan.run import plan_run
from mml_core.run_command.child import running
from mml_core.run_command.choice import CONFIG, checkout, chosen
from mml_core.run_command.events import Announced, Failed, Finished, Job, Message, Noise, read_events
from mml_core.run_command.expected import Costs, expected, run_costs
from mml_core.run_command.progress import Progress
from mml_core.run_command.text import ending, log_tail, name_of, span
from mml_core.run_command.threads import TRAIN, threads_by_rule
from mml_core.training.trackers import check_tracker

#: What a run is about where the command line names nothing, and what is shown of it in the end.
TABLE, REPORT = Path("results/ensemble_table.md"), Path("results/report.html")
#: Jobs that take at least this long are told when they start, too.
_TOLD_SEC = 60.0
_NOISE_LINES = 30
_SET_THREADS = "--set-threads"
#: How a line of a job begins that people are to see.
_WARNING = "warning: "


@dataclass(frozen=True)
class RunOptions:
    """What is run, and on what."""

    targets: Sequence[str]  # empty: all that README's "What you get" lists
    dataset: str | None
    recipe: Sequence[str]
    device: str | None
    tracker: TrackerName | None
    cores: int | None  # None: all
    gpus: int | None  # None: all
    dry_run: bool
    more: Sequence[str]  # words for Snakemake


class RunFailed(Exception):
    """The workflow ended with an error, which has been told."""


def run_workflow(options: RunOptions) -> None:
    """Run the workflow, or tell what it would run.

    Raises InputError where what is to be run cannot be planned, SystemExit with Snakemake's status where it failed, and
    with 128 + the signal's number where it was stopped.
    """
    root = checkout()
    project = chosen(root, options.dataset, options.recipe, device=options.device, tracker=options.tracker)
    check_tracker(project.tracker)
    machine = this_machine(options.cores, 0 if project.device == "cpu" else options.gpus)
    plan = plan_run(project.model_dump(mode="json"), Path(), check_files=True, shipped=root)
    words = _words(options, project, root, machine.cores, len(machine.gpus))
    print(f"Data set {project.dataset}, recipe {', '.join(project.recipe)}: looking at what is there.", flush=True)
    planned = _planned(words, root, quiet=not options.dry_run)
    if not planned:
        print("Nothing to do: everything is there.")
    else:
        costs = run_costs(plan, machine, root)
        _tell_plan(planned, costs, each=options.dry_run)
        if not options.dry_run:
            _run([*_threads(options, planned, costs), *words], root, planned, costs)
    if not options.dry_run and not options.targets:
        _tell_results()


def _words(options: RunOptions, project: ProjectConfig, root: Path, cores: int, gpus: int) -> list[str]:
    """Return Snakemake's command line."""
    given = [f"{key}={json.dumps(value)}" for key, value in project.model_dump(mode="json").items()]
    resources = ["--resources", f"gpu={gpus}"] if gpus or project.device == "auto" else []
    files = [] if CONFIG.exists() else ["--configfile", str(root / CONFIG)]
    words = ["--snakefile", str(root / "Snakefile"), "--cores", str(cores), *resources, *files, "--logger", "mml"]
    return [*words, "--config", *given, *options.more, "--", *options.targets]


def _threads(options: RunOptions, planned: Sequence[Job], costs: Costs) -> list[str]:
    """Return the words by which jobs on a processor share it; on GPUs, and where the user says it, none."""
    if costs.machine.gpus or _SET_THREADS in options.more:
        return []
    stages = {stage.key: stage for runs in costs.plan.runs.values() for run in runs for stage in run.values()}
    seconds = {dict(job.wildcards)["stage"]: expected(costs, job).seconds for job in planned if job.rule == TRAIN}
    shared = threads_by_rule(planned, stages, seconds, costs.machine.cores)
    return [_SET_THREADS, *(f"{rule}={count}" for rule, count in shared.items())] if shared else []


def _planned(words: Sequence[str], root: Path, *, quiet: bool) -> list[Job]:
    """Return the jobs that a run has, in an order that they can run in."""
    jobs: list[Job] = []

    def take(event: Announced | Finished) -> None:
        if isinstance(event, Announced):
            jobs.append(event.job)

    _follow(["--dry-run", *words], root, take, quiet=quiet)
    return jobs


def _tell_plan(jobs: Sequence[Job], costs: Costs, *, each: bool) -> None:
    """Print how many jobs there are and what they take by measured rates, and each of them where that is asked for."""
    seconds = [expected(costs, job).seconds for job in jobs]
    if each:
        for job, needed in zip(jobs, seconds, strict=True):
            print(f"  {name_of(job)} (about {span(needed)})")
    machine = costs.machine
    gpus = f", {len(machine.gpus)} GPU(s)" if machine.gpus else ""
    print(
        f"{len(jobs)} jobs, about {span(sum(seconds) / machine.jobs)} on {machine.cores} core(s){gpus}, by rates of "
        f"{machine.device}.",
        flush=True,
    )


def _run(words: Sequence[str], root: Path, planned: Sequence[Job], costs: Costs) -> None:
    """Run the workflow and print a line for each job that is done."""
    progress = Progress({job.key: expected(costs, job) for job in planned}, time.monotonic())
    jobs: dict[int, Job] = {}

    def tell(event: Announced | Finished) -> None:
        now = time.monotonic()
        if isinstance(event, Announced):
            jobs[event.number] = event.job
            progress.start(event.job, now, expected(costs, event.job))
            if (needed := progress.seconds_of(event.job)) >= _TOLD_SEC:
                print(f"       … {name_of(event.job)}, about {span(needed)}", flush=True)
        elif event.number in jobs:
            job = jobs[event.number]
            took = progress.finish(job, now)
            left = f"; {span(progress.left_sec(now))} left" if progress.jobs_left else ""
            print(f"[{_percent(progress.share(now))}] {name_of(job)}: {span(took)}{left}", flush=True)

    _follow(words, root, tell)


def _percent(share: float) -> str:
    return f"{min(int(100 * share), 99) if share < 1 else 100:3d} %"


def _follow(
    words: Sequence[str], root: Path, tell: Callable[[Announced | Finished], None], *, quiet: bool = False
) -> None:
    """Run Snakemake to its end and tell of jobs; failed ones, and what is odd unless `quiet`, are printed as they come.

    Raises SystemExit where it failed or was stopped.
    """
    jobs: dict[int, Job] = {}
    errors, noise, any_failed = [""], [""], False
    with running(words, root) as run:
        for event in read_events(run.lines):
            match event:
                case Announced(number, job):
                    jobs[number] = job
                    tell(event)
                case Finished():
                    tell(event)
                case Failed(number) if number in jobs and run.stopped_by is None:
                    any_failed = True
                    job = jobs[number]
                    print(
                        f"FAILED: {name_of(job)}{ending(errors[-1])}; {log_tail(job.logs)}", file=sys.stderr, flush=True
                    )
                case Message(text, is_error=True):
                    errors.append(text.strip())
                case Message(text) if not quiet:
                    print(text.strip(), file=sys.stderr, flush=True)
                case Noise(text):
                    noise = [*noise, text][-_NOISE_LINES:]
                    if text.startswith(_WARNING) and not quiet:
                        print(text, file=sys.stderr, flush=True)
        status = run.status()
    if run.stopped_by is not None:
        print("Stopped. The same command goes on where this one was.", file=sys.stderr, flush=True)
        raise SystemExit(128 + run.stopped_by)
    if status:
        if not any_failed:
            print("\n".join(errors[1:] or noise[1:]), file=sys.stderr)
        print("The run failed. Once that is mended, the same command goes on where this one was.", file=sys.stderr)
        raise SystemExit(status)


def _tell_results() -> None:
    if TABLE.is_file():
        print(f"\n{TABLE.read_text(encoding='utf-8').rstrip()}\n")
    for what, path in {"table": TABLE.with_suffix(".csv"), "report": REPORT}.items():
        print(f"{what}: {path.absolute()}")
