"""Weights over processes: replicated (DDP) or sharded (FSDP2).

Where weights are sharded, so are their gradients, moments and EMA: a process keeps 1 / world_size of each, and a
layer's weights are gathered only while it computes. Reading a full tensor is a collective operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from agent_core.model.block import Block
from agent_core.training.distributed import ProcessGroup


def shard(module: nn.Module, group: ProcessGroup, device: torch.device) -> None:
    """Shard a module's weights over the processes, in place: each layer as a unit, then all the rest.

    Convolutions lose their channels-last layout: only contiguous weights can be sharded.
    """
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    mesh = init_device_mesh(device.type, (group.world_size,))
    for layer in module.modules():
        if isinstance(layer, Block):
            fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)


def wrap_ddp(module: nn.Module, group: ProcessGroup) -> nn.Module:
    """The module with replicated weights and gradients averaged over the processes."""
    if group.world_size == 1:
        return module
    return DistributedDataParallel(module, find_unused_parameters=True)


@contextmanager
def grad_sync(module: nn.Module, last: bool) -> Iterator[None]:
    """Around one micro-batch's two passes: gradients accumulate locally until the last one, then are averaged."""
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
        yield
    elif isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
    else:
        yield


def local_shard(tensor: Tensor) -> Tensor:
    """This process's shard of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """A whole tensor; where it is sharded, every process must call."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def full_state_dict(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors in main memory where `keep`, else none; gathered one by one, to fit into the device's memory."""
    state = {}
    for name, tensor in tensors.items():
        full = full_tensor(tensor.detach())
        if keep:
            state[name] = full.cpu().contiguous()
    return state


def shard_like(weight: Tensor, value: Tensor) -> Tensor:
    """A whole value in a weight's memory layout, on its device, sharded where the weight is."""
    if isinstance(weight, DTensor):
        return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
    return torch.empty_like(weight).copy_(value)
