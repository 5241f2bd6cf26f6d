"""An accelerator in one process, started after its fork, in a judge or in a worker."""

import torch


def start(name: str, memory: int) -> None:
    """Start the device in this process, in full precision, and use it once.

    memory: bytes that tensors may take there. torch's allocator holds to it: it raises OutOfMemoryError beyond.
    Raises RuntimeError if the device can't be had.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    index = torch.device(name).index or 0
    total = torch.cuda.get_device_properties(index).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, memory / total), index)
    torch.zeros(1, device=name).add_(1).item()
