"""Kubernetes, as far as it goes without a cluster: what jobs ask for; pods with a common volume do the work."""

from __future__ import annotations

import copy
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from checkouts import DATASET, RGB, Checkout, jobs_of, separate_stages, settings_of, wait_for
from job_server import folder_of_python
from kill_harness import leftovers, products
from kubernetes_stand_in import Pod, StandInCluster, amount, container_of, refusals
from video_files import make_videos

TARGET = "results/ensemble_table.csv"
#: Where the volume is in the profile as it comes.
MOUNTED = "/volume"
IMAGE = "registry.example.org/mml:1"
#: Threads are one, so that pods can run beside each other; snakemake does not wait as long as on a network file system.
SETTINGS = ("--cores", "64", "--set-threads", "train_stage=1", "score_stage=1")
KUBERNETES = (*SETTINGS, "--profile", "profiles/kubernetes", "--container-image", IMAGE, "--latency-wait", "20")
KUBERNETES += ("--seconds-between-status-checks", "1", "--max-status-checks-per-second", "20")
KUBERNETES += ("--envvars", "OMP_NUM_THREADS")

#: Rules whose pods are lost, one after the other, in the full form of the tests.
VICTIMS = ("make_rgb_shard", "make_derived_shard", "train_stage", "score_stage")

PLUGINS = ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs")
_MISSING = [name for name in PLUGINS if not importlib.util.find_spec(name)]
_MISSING += [name for name in ("rsync", "git", "sh") if not shutil.which(name)]

pytestmark = [
    pytest.mark.stress,
    pytest.mark.workflow,
    pytest.mark.skipif(bool(_MISSING), reason=f"Kubernetes' plugins need {', '.join(_MISSING)}"),
    pytest.mark.timeout(1200),
]


@dataclass(frozen=True)
class Ran:
    """A run on the stand-in that lost pods, what it said each time by rule, and the same one on this machine."""

    cluster: StandInCluster
    pods: Checkout
    alone: Checkout
    broken_off: dict[str, str]
    finished: str

    def jobs(self, rule: str) -> list[dict[str, Any]]:
        """Return the jobs of a rule that the cluster took."""
        return [job for job in self.cluster.jobs if rule_of(job) == rule]

    def asked(self, rule: str, name: str) -> str:
        """Return what the first job of a rule asks for of a resource, which has to be its limit too."""
        resources = container_of(self.jobs(rule)[0])["resources"]
        assert name == "cpu" or resources["requests"].get(name) == resources["limits"].get(name)
        return resources["limits"].get(name, "")


def rule_of(job: dict[str, Any]) -> str:
    """Return the rule that a job's command is about."""
    found = re.search(r"--allowed-rules (\w+)", container_of(job)["args"][1])
    assert found
    return found[1]


def clone_on(volume: Path) -> Checkout:
    """Return the project as it is on a cluster's volume: a clone with files in `config/` that git does not know."""
    checkout = Checkout.create(volume / "checkout")
    make_videos(checkout.root / "data/videos", train=4, validation=2)
    annotations = {"format": "manifest", "manifest": "data/videos/manifest.csv", "videos": "data/videos"}
    modalities = {"rgb": DATASET["modalities"]["rgb"], "diff": {"kind": "diff"}}
    checkout.dataset({**DATASET, "annotations": annotations, "modalities": modalities})
    checkout.configure(recipe=["two"])
    both = {"rgb": RGB, "diff": {**RGB, "modality": "diff"}}
    stages = {"both": {"networks": both, "objective": "mutual"}}
    checkout.recipe("two", separate_stages(30, [], {}) | {"stages": stages})
    profile = checkout.root / "profiles/kubernetes/profile.yaml"
    profile.write_text(profile.read_text().replace(MOUNTED, str(volume)))
    known = ["Snakefile", "rules", "workflow", "mml_core", "profiles", "envs", "config/config.yaml"]
    for words in (["init", "-q"], ["add", *known]):
        subprocess.run(["git", *words], cwd=checkout.root, check=True)
    return checkout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, in_full: bool) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("kubernetes")
    pods = clone_on(folder / "volume")
    alone = pods.copy(folder / "alone")
    alone.run(*SETTINGS, "--", TARGET)
    arguments = (*KUBERNETES, "--", TARGET)
    victims = VICTIMS if in_full else ("train_stage",)
    with StandInCluster(folder / "cluster") as cluster:
        broken_off = {victim: lose_a_pod(pods, cluster, victim, arguments) for victim in victims}
        # no fork: the client of Kubernetes looks for KUBECONFIG when it is imported
        path = f"{folder_of_python()}:{settings_of({})['PATH']}"
        process = pods.start(*arguments, KUBECONFIG=str(cluster.kubeconfig), PATH=path)
        finished = process.communicate()[0]
        assert process.returncode == 0, finished
        yield Ran(cluster, pods, alone, broken_off, finished)


def lose_a_pod(checkout: Checkout, cluster: StandInCluster, rule: str, arguments: Sequence[str]) -> str:
    """Run until a pod of `rule` is at work, kill it, clear the cluster up, and return what snakemake said."""

    def found() -> list[Pod]:
        return [pod for pod in list(cluster.pods.values()) if rule_of(pod.job) == rule and pod.exit_code is None]

    def at_work() -> bool:
        if rule == "train_stage":
            return any((checkout.root / "results/tiny/unfinished").glob("*/state.safetensors"))
        return any(f"rule {rule}:" in pod.log.read_text() for pod in found())

    process = checkout.start(*arguments, KUBECONFIG=str(cluster.kubeconfig))
    wait_for(at_work, process, seconds=300)
    for pod in found():
        pod.kill()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1, output
    for name in list(cluster.pods):  # kubectl delete jobs --selector app=snakemake
        cluster.delete(name)
    return output


def test_what_lost_its_pod_goes_on_and_ends_with_the_same_bits(ran: Ran) -> None:
    for rule, output in ran.broken_off.items():
        # the plugin asks for a log that there is not, and gives up
        assert "previous terminated container" in output, rule
        assert len(ran.jobs(rule)) >= 2
    print(f"\n{len(ran.cluster.jobs)} pods; lost while at work: {', '.join(ran.broken_off)}")
    assert products(ran.pods) == products(ran.alone)
    log = ran.pods.one("logs/tiny/stages/*.log").read_text()
    assert re.search(r"go(es|ing) on", log), log


def test_nothing_is_left_but_results(ran: Ran) -> None:
    assert list(leftovers(ran.pods)) == []
    assert not list(ran.pods.root.glob("snakemake-workflow-sources*"))
    assert (ran.cluster.pods, ran.cluster.secrets, ran.cluster.refused) == ({}, {}, [])


def test_nothing_is_done_twice(ran: Ran) -> None:
    last = "train_stage:both" if list(ran.broken_off) == ["train_stage"] else "score_stage:both"
    assert jobs_of(ran.finished) == sorted({"combined_table", "recipe_table", "score_stage:both", last})
    environment = {"KUBECONFIG": str(ran.cluster.kubeconfig)}
    assert ran.pods.run("-n", *KUBERNETES, "--", TARGET, **environment).count("Nothing to be done") == 1


def test_jobs_read_shards_on_the_volume(ran: Ran) -> None:
    (first, *_) = ran.jobs("train_stage")
    text = (ran.cluster.folder / f"{first['metadata']['name']}.log").read_text()
    shards = [path.as_posix() for path in ran.pods.root.glob("results/tiny/shards/*/train-*.h5")]
    assert len(shards) == 2
    assert [shard for shard in shards if f"symlink for on-demand retrieval of {shard}" not in text] == []


def test_jobs_ask_for_what_their_rules_do(ran: Ran) -> None:
    assert (ran.asked("make_rgb_shard", "cpu"), ran.asked("make_rgb_shard", "memory")) == ("4000m", "6000M")
    assert ran.asked("make_rgb_shard", "ephemeral-storage") == "20000M"
    assert [ran.asked("train_stage", name) for name in ("memory", "nvidia.com/gpu")] == ["32000M", "1"]
    assert [ran.asked("score_stage", name) for name in ("memory", "nvidia.com/gpu")] == ["24000M", "1"]
    for rule in ("make_rgb_shard", "make_derived_shard", "recipe_table"):
        assert ran.asked(rule, "nvidia.com/gpu") == ""
    for job in ran.cluster.jobs:
        resources = container_of(job)["resources"]
        assert amount(resources["requests"]["cpu"]) == pytest.approx(0.95 * amount(resources["limits"]["cpu"]))


def test_light_rules_run_where_snakemake_does(ran: Ran) -> None:
    heavy = {"make_rgb_shard", "make_derived_shard", "data_quality", "train_stage", "score_stage", "recipe_table"}
    assert {rule_of(job) for job in ran.cluster.jobs} == heavy
    assert "localrule combined_table:" in ran.finished


def test_pods_have_the_image_the_volume_and_a_folder_of_their_own(ran: Ran) -> None:
    volume = str(ran.pods.root.parent)
    for job in ran.cluster.jobs:
        pod, container = job["spec"]["template"]["spec"], container_of(job)
        assert (container["image"], container["workingDir"], pod["restartPolicy"]) == (IMAGE, "/workdir", "Never")
        assert {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]} == {
            "/workdir": "workdir",
            volume: "mml",
        }
        claims = {one["name"]: one.get("persistentVolumeClaim", {}).get("claimName") for one in pod["volumes"]}
        assert claims == {"workdir": None, "mml": "mml"}
        tolerated = [toleration["key"] for toleration in pod.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if "nvidia.com/gpu" in container["resources"]["limits"] else [])


def test_the_account_needs_these_rights(ran: Ran) -> None:
    """docs/kubernetes.md lists them."""
    assert ran.cluster.requests == {
        *(("create", kind) for kind in ("jobs", "secrets")),
        *(("delete", kind) for kind in ("jobs", "pods", "secrets")),
        *(("get", kind) for kind in ("jobs/status", "pods/log")),
        ("list", "pods"),
    }


def test_pods_ask_pip_for_nothing_but_the_plugin_at_hand(ran: Ran) -> None:
    asked = set(ran.cluster.pip_log.read_text().splitlines())
    assert asked == {"pip install --target .snakemake/pip-deployments snakemake-storage-plugin-fs"}


def test_the_stand_in_refuses_what_a_cluster_would(ran: Ran) -> None:
    (first, *_) = ran.jobs("train_stage")
    assert list(refusals(first)) == []

    def changed(change: Callable[[dict[str, Any]], None]) -> list[str]:
        job = copy.deepcopy(first)
        change(job)
        return [reason.partition(":")[0] for reason in refusals(job)]

    def without_limits(job: dict[str, Any]) -> None:
        del container_of(job)["resources"]["limits"]

    def more_than_the_limit(job: dict[str, Any]) -> None:
        container_of(job)["resources"]["requests"]["memory"] = "33G"

    def another_volume(job: dict[str, Any]) -> None:
        job["spec"]["template"]["spec"]["volumes"].pop()

    def name_of_a_file(job: dict[str, Any]) -> None:
        job["metadata"]["name"] = "snakejob.train_stage"

    assert changed(without_limits) == ["resources.limits"]
    assert changed(more_than_the_limit) == ["resources.requests"]
    assert changed(another_volume) == ["volumeMounts"]
    assert changed(name_of_a_file) == ["metadata.name"]
