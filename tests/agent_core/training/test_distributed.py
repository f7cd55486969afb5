"""Process group: order of work, backend of the collectives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from agent_core.errors import ConfigError
from agent_core.training.distributed import ProcessGroup


def test_one_process_of_each_machine_works_before_the_others_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two machines of three processes each, here as threads that meet at a real barrier."""
    meetings, met = threading.Barrier(6), threading.local()
    turns: dict[int, int] = {}

    def meet() -> None:
        met.count += 1
        meetings.wait(60)

    def go(rank: int) -> int:
        met.count = 0

        def work() -> int:
            turns[rank] = met.count
            return 10 * rank

        return ProcessGroup(rank, 6, rank % 3).main_first(work)

    monkeypatch.setattr(dist, "barrier", meet)
    with ThreadPoolExecutor(6) as processes:
        assert list(processes.map(go, range(6))) == [0, 10, 20, 30, 40, 50]
    assert turns == {0: 0, 3: 1, 1: 2, 2: 2, 4: 2, 5: 2}


def test_alone_there_is_nobody_to_wait_for() -> None:
    assert ProcessGroup().main_first(lambda: 7) == 7


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the process group was asked for, in a machine that seems to have GPUs."""
    calls: list[object] = []
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda n: calls.append(f"cuda:{n}"))
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    monkeypatch.setattr(dist, "get_rank", lambda: 3)

    def init(backend: str, *, timeout: timedelta) -> None:
        calls.extend([backend, timeout >= timedelta(hours=6)])

    monkeypatch.setattr(dist, "init_process_group", init)
    return calls


def test_a_run_on_the_cpu_talks_over_gloo_where_there_are_gpus(asked: list[object]) -> None:
    assert ProcessGroup.init("cpu") == ProcessGroup(3, 4, 1)
    assert asked == ["gloo", True]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_run_on_gpus_talks_over_nccl(asked: list[object], device: str) -> None:
    group = ProcessGroup.init(device, pick=lambda _: torch.device("cuda", 1))
    assert group == ProcessGroup(3, 4, 1)
    assert asked == ["cuda:1", "nccl", True]


def test_a_device_that_is_not_there_is_said(
    asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no device 'xpu:99'"):
        ProcessGroup.init("xpu:99")
    assert asked == []
