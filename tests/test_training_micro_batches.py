"""Micro-batches: which process takes which clips, and that groups, not processes, decide what a step computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from test_training_engine import train
from torch import Tensor, nn
from two_streams import two_stream_stage
from watched import Watched

from mml_core.clips import Key, collate_clips, epoch_batches, normalise
from mml_core.config.dataset import DatasetConfig
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError
from mml_core.networks import Prediction
from mml_core.training.batch_norm import group_batch_norm, settle
from mml_core.training.micro_batches import MicroBatch, cut, own_part, processes_per_group, processes_sharing
from mml_core.training.processes import ALONE
from mml_core.training.sums import Sums


@given(clips=st.integers(1, 60), size=st.integers(1, 12) | st.none(), processes=st.integers(1, 12))
def test_every_clip_goes_through_once_and_every_process_has_work(clips: int, size: int | None, processes: int) -> None:
    step: list[Key] = [(3, number) for number in range(clips)]
    groups = cut(step, size)
    assert [key for group in groups for key in group] == step
    assert all(len(group) == (size or clips) for group in groups[:-1])
    try:
        sharing = processes_per_group([len(group) for group in groups], processes)
    except ValueError:
        assert processes > len(groups)
        assert processes % len(groups) or processes // len(groups) > min(map(len, groups))
        return
    parts = [own_part(groups, rank, processes) for rank in range(processes)]
    taken = [micro for part in parts for micro in part]
    assert all(part and all(micro.keys for micro in part) for part in parts), (
        "a process without work would hang the others"
    )
    assert sorted(key for micro in taken for key in micro.keys) == step
    for micro in taken:
        assert (micro.group, micro.step) == (len(groups[micro.number]), clips)
        assert set(micro.keys) <= set(groups[micro.number])
    # every group is whole within the `sharing` processes that normalise together
    for number, group in enumerate(groups):
        ranks = [rank for rank, part in enumerate(parts) if any(micro.number == number for micro in part)]
        members = [micro.member for micro in taken if micro.number == number]
        assert members == list(range(sharing))
        assert len({rank // sharing for rank in ranks}) == 1
        assert sum(len(micro.keys) for micro in taken if micro.number == number) == len(group)
    if sharing == 1:
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_stages_steps_groups_and_processes_draw_apart() -> None:
    """On a processor the lowest 32 bits of a seed count: stages of other seeds dropped the same, groups as steps."""

    def drawn(stage: int, position: int, number: int, member: int) -> tuple[float, ...]:
        torch.manual_seed(MicroBatch([], number, member, 8, 16).seed(stage, position))
        return tuple(torch.rand(4).tolist())

    places = [
        (stage, position, number, member)
        for stage in (0, 1, 1000, 2**31 - 1)
        for position in range(6)
        for number in range(4)
        for member in range(3)
    ]
    assert len({drawn(*place) for place in places}) == len(places)
    assert drawn(1, 2, 3, 1) == drawn(1, 2, 3, 1)


@pytest.mark.parametrize(
    ("batch_size", "micro", "clips", "processes", "expected"),
    [
        (8, 4, 100, 1, 1),
        (8, 4, 100, 2, 1),
        (8, 4, 100, 4, 2),
        (8, None, 100, 8, 8),
        (12, 4, 100, 2, 1),
        (8, 4, 6, 4, 2),
    ],
)
def test_processes_that_share_a_group(
    batch_size: int, micro: int | None, clips: int, processes: int, expected: int
) -> None:
    assert processes_sharing(stage_config(batch_size, micro), clips, processes) == expected


@pytest.mark.parametrize(
    ("batch_size", "micro", "clips", "processes", "complaint"),
    [
        (8, 4, 100, 3, r"3 processes cannot share 2 group\(s\) of 4 clips"),
        (8, None, 100, 9, r"9 processes cannot share 1 group\(s\) of 8 clips"),
        (8, 4, 5, 4, r"4 processes cannot share 2 group\(s\) of 1, 4 clips"),
    ],
)
def test_processes_that_cannot_share_are_refused_with_a_hint(
    batch_size: int, micro: int | None, clips: int, processes: int, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        processes_sharing(stage_config(batch_size, micro), clips, processes)
    assert "choose gpus up to the groups of a step (batch_size / micro_batch_size), or a multiple" in str(caught.value)


def stage_config(batch_size: int, micro: int | None) -> StageConfig:
    return StageConfig(networks={"x": toy.RGB}, batch_size=batch_size, micro_batch_size=micro)


def test_a_step_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 8 is no multiple of micro_batch_size 3"):
        stage_config(8, 3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder, train=10), folder / "shards"


PLAIN = {"groups": "plain", "momentum": 0, "weight_decay": 0, "clip_norm": None, "learning_rate": 0.5}


@pytest.mark.parametrize(
    ("batch_size", "micro", "sizes"),
    [(10, 5, [5, 5]), (10, 2, [2] * 5), (10, None, [10]), (16, 4, [4, 4, 2]), (12, 6, [6, 4])],
    ids=["halves", "fifths", "whole", "fewer videos than a step", "a smaller last group"],
)
def test_a_step_is_the_mean_over_its_clips_with_normalisation_a_group(
    dataset: tuple[DatasetConfig, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    micro: int | None,
    sizes: list[int],
) -> None:
    """One step of plain SGD against weights and running statistics worked out with torch's own modules."""
    settings = {"batch_size": batch_size, "micro_batch_size": micro, "epochs": 1, "optimizer": PLAIN}
    stage = two_stream_stage(dataset[0], **settings)
    with monkeypatch.context() as patch:
        patch.setattr("torch.nn.Dropout.forward", lambda self, values: values)
        watched = Watched(patch)
        train(stage, dataset[0], toy.stage_files(tmp_path, dataset[1]))
        (trainer,) = watched.trainers
        before, after = ({k.removeprefix("net/"): v for k, v in one.items()} for one in watched.weights)
        network = with_torchs_normalisation(trainer.members.trained["net"].network).train()
        network.load_state_dict(before)
        (step,) = epoch_batches(10, batch_size, stage.document.config.seed, 0)
        statistics: dict[str, Tensor] = {}
        losses = []
        groups = cut(step, micro)
        assert [len(group) for group in groups] == sizes
        for group in groups:
            loss, moved = by_hand(network, trainer.clips, group, before)
            (loss * len(group) / 10).backward()
            losses.append(loss.item() * len(group) / 10)
            for name, value in moved.items():
                statistics[name] = statistics.get(name, 0) + value * len(group) / 10
    assert watched.rows[0]["loss"] == pytest.approx(sum(losses), abs=2e-6)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(after[name], before[name] - 0.5 * parameter.grad, rtol=1e-4, atol=1e-6)
    for name, value in statistics.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-6)
    assert {after[name].item() for name in after if name.endswith("num_batches_tracked")} == {1}, "once a step"


def by_hand(
    network: nn.Module, clips: Any, group: Sequence[Key], before: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean loss of a group, and what the running statistics would move to if it were the whole step."""
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    batch = collate_clips([clips[key] for key in group])
    said = network(*(normalise(batch.inputs[name], name, "imagenet") for name in ("rgb", "flow")))
    loss = nn.functional.cross_entropy(said.logits, batch.targets)
    return loss, {name: b.clone() for name, b in network.named_buffers() if "running" in name}


def with_torchs_normalisation(network: nn.Module) -> nn.Module:
    """Give `network` torch's own modules in place of those over groups."""
    for path, kind in (("rgb.bn", nn.BatchNorm2d), ("flow.bn", nn.BatchNorm2d), ("norm", nn.BatchNorm1d)):
        network.set_submodule(path, kind(network.get_submodule(path).num_features))
    return network


@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (6, 3, 5, 4)), (nn.BatchNorm3d, (4, 3, 2, 5, 4))]
)
def test_normalisation_of_one_group_is_torchs_own(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    theirs, ours = pair(kind)
    replaced = group_batch_norm(ours, None)
    for _ in range(3):
        x = (torch.randn(shape, dtype=torch.float64) * 3 + 1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        weight = torch.randn(shape, dtype=torch.float64)
        (theirs(x) * weight).sum().backward()
        (ours(y) * weight).sum().backward()
        for module in replaced:
            module.gather(1.0)
        settle(replaced, ALONE)
        torch.testing.assert_close(x.grad, y.grad)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for key, values in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], values)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(theirs.eval()(x), ours.eval()(x))


def pair(kind: type[nn.Module]) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs, ours = (nn.Sequential(kind(3), nn.ReLU()).double() for _ in range(2))
    nn.init.normal_(theirs[0].weight)
    nn.init.normal_(theirs[0].bias)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_statistics_wait_for_the_end_of_the_step() -> None:
    _, network = pair(nn.BatchNorm2d)
    (module,) = group_batch_norm(network, None)
    before = module.running_mean.clone()
    for clips, value in ((2, 1.0), (6, 5.0)):
        network(torch.full((clips, 3, 4, 4), value, dtype=torch.float64))
        module.gather(clips / 8)
        assert torch.equal(module.running_mean, before)
    settle([module], ALONE)
    torch.testing.assert_close(module.running_mean, before + 0.1 * (0.25 * 1 + 0.75 * 5))
    network.eval()(torch.ones(2, 3, 4, 4, dtype=torch.float64))
    module.gather(1.0)
    settle([module], ALONE)
    assert module.num_batches_tracked == 1, "what is as in testing moves nothing"


def test_sums_keep_no_graph_and_weigh_groups_by_their_clips() -> None:
    sums = Sums({}, torch.device("cpu"))
    for value, clips in ((1.0, 3), (2.0, 1)):
        loss = torch.tensor(value, requires_grad=True)
        targets = torch.zeros(clips, dtype=torch.int64)
        said = {"net": Prediction(torch.tensor([[1.0, 0.0]]).repeat(clips, 1), torch.zeros(clips, 1))}
        sums.add({"net": {"a": loss, "b": loss * 2}}, said, targets)
    assert not sums.values["net"].requires_grad
    assert sums.as_dict(ALONE) == {"net": {"clips": 4, "loss": 15, "a": 5, "b": 10, "train_top1": 400}}


def test_sums_of_an_epoch_that_was_interrupted_behind_its_last_step_go_on_in_all_processes() -> None:
    """All have the same names, or they would wait for each other; together they have the saved sums."""
    saved = {"x": {"clips": 4.0, "loss": 15.0}, "y": {"clips": 4.0, "loss": 2.0}}
    lead, other = (Sums(saved, torch.device("cpu"), leads=leads).as_dict(ALONE) for leads in (True, False))
    assert lead == saved
    assert other == {"x": {"clips": 0, "loss": 0}, "y": {"clips": 0, "loss": 0}}
