"""Process group: rank, world size and collectives of data-parallel training."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from agent_core.device import pick_device

Result = TypeVar("Result")
TIMEOUT = timedelta(hours=24)
"""Collectives time out after this: one process may decode a corpus for hours. `torchrun` ends all where one ends."""


@dataclass(frozen=True)
class ProcessGroup:
    """Rank and world size as `torchrun` sets them; one process by default."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Rank among the processes of its machine."""

    @classmethod
    def init(cls, device: str, pick: Callable[[str], torch.device] = pick_device) -> ProcessGroup:
        """Join the process group: NCCL where `pick` takes `device` for a GPU, one for each process, else gloo.

        All run on one machine where `LOCAL_RANK` is not set. Raises `ConfigError` where there is no such device.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        local = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
        if not dist.is_initialized():
            if device in ("auto", "cuda") and torch.cuda.is_available():
                torch.cuda.set_device(local)  # first: querying a device allocates memory on it
            backend = "nccl" if pick(device).type == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=TIMEOUT)
        return cls(dist.get_rank(), world, local)

    def destroy(self) -> None:
        """Leave the group, once all processes call it.

        Nothing else may reference it then: freed by DDP's reducer as its last owner, gloo (torch 2.13) waits for a
        thread that itself waits for Python's GIL.
        """
        if self.world_size > 1 and dist.is_initialized():
            gc.collect()  # the reducer is part of a cycle
            dist.barrier()
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def main_first(self, work: Callable[[], Result]) -> Result:
        """The main process works first, then one process of every other machine, then the rest.

        Files that one writes exist for those after it, whether machines share the disk or not.
        """
        own_turn = 0 if self.is_main else 1 if self.local_rank == 0 else 2
        for turn in range(3):
            if turn == own_turn:
                result = work()
            if self.world_size > 1 and turn < 2:
                dist.barrier()
        return result

    def broadcast(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The main process's values, on all processes."""
        if self.world_size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        received: list[float] = shared.tolist()
        return received
