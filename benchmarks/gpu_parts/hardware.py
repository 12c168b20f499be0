"""What the device can do at most, measured."""

import statistics
import time
from collections.abc import Callable

import torch


class Clock:
    """Times work on a device, to the end of the last kernel.

    Args:
        device: where the work runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait(self) -> None:
        """Wait until the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        """Run work once and return how long it took."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def median(self, work: Callable[[], object], repeats: int) -> float:
        """Return the median of several runs, after one that warms up."""
        self.seconds(work)
        return statistics.median(self.seconds(work) for _ in range(repeats))

    def forget_peak(self) -> None:
        """Start to measure peak memory anew."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """Return the peak of allocated bytes since `forget_peak`; 0 where the device does not say."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0


def copy_bandwidth(clock: Clock, size: int) -> float:
    """Return bytes per second of a large copy, read and written bytes together."""
    source = torch.ones(size // 4, device=clock.device)
    target = torch.empty_like(source)
    seconds = min(clock.seconds(lambda: target.copy_(source)) for _ in range(10))
    return 2 * source.nbytes / seconds


def matmul_rate(clock: Clock, size: int) -> float:
    """Return operations per second of a square bfloat16 product."""
    left, right = (torch.randn(size, size, device=clock.device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(10):
            left @ right

    return 10 * 2 * size**3 / clock.median(multiply, 5)
