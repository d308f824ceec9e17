"""What does the driver answer here, how long does each question take, and what does it refuse?

Only NVML: no back end is imported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from _lab import Lab, begin

from aiotune_gpu.driver import Driver

_TIMES = 20
_SLOW = 0.1
"""Seconds: a question that takes longer does not belong on a loop that asks each second."""


def questions(nvml: Any, handle: Any, uuid: str) -> dict[str, Callable[[], Any]]:
    """Return each question that aiotune has for the driver, and some that it may have one day."""
    kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    return {
        "driver version": nvml.nvmlSystemGetDriverVersion,
        "CUDA version": nvml.nvmlSystemGetCudaDriverVersion,
        "count": nvml.nvmlDeviceGetCount,
        "handle by UUID": lambda: nvml.nvmlDeviceGetHandleByUUID(uuid) and "found",
        "name": lambda: nvml.nvmlDeviceGetName(handle),
        "memory v1": lambda: nvml.nvmlDeviceGetMemoryInfo(handle),
        "memory v2": lambda: nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2),
        "processes v3": lambda: nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle),
        "processes of MPS": lambda: nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(handle),
        "utilisation": lambda: nvml.nvmlDeviceGetUtilizationRates(handle),
        "compute mode": lambda: nvml.nvmlDeviceGetComputeMode(handle),
        "MIG mode": lambda: nvml.nvmlDeviceGetMigMode(handle),
        "PCI place": lambda: nvml.nvmlDeviceGetPciInfo(handle).busId,
        "NUMA node of the GPU": lambda: nvml.nvmlDeviceGetNumaNodeId(handle),
        "CPUs next to it": lambda: [
            hex(word) for word in nvml.nvmlDeviceGetCpuAffinity(handle, 128) if word
        ],
        "ECC errors": lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, kind, since),
        "remapped rows": lambda: nvml.nvmlDeviceGetRemappedRows(handle),
        "retired pages pending": lambda: nvml.nvmlDeviceGetRetiredPagesPendingStatus(handle),
        "recovery action": lambda: _field(nvml, handle, 230),
        "accounting mode": lambda: nvml.nvmlDeviceGetAccountingMode(handle),
        "kinds of events": lambda: nvml.nvmlDeviceGetSupportedEventTypes(handle),
        "events of Xids": lambda: _register(nvml, handle),
    }


def _field(nvml: Any, handle: Any, number: int) -> int:
    (value,) = nvml.nvmlDeviceGetFieldValues(handle, [number])
    if value.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


def _register(nvml: Any, handle: Any) -> str:
    events = nvml.nvmlEventSetCreate()
    try:
        nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
    finally:
        nvml.nvmlEventSetFree(events)
    return "registered"


def ask(nvml: Any, question: Callable[[], Any]) -> dict[str, Any]:
    """Ask so many times; return the answer as text, or the refusal, and milliseconds."""
    seconds = []
    text = ""
    for _ in range(_TIMES):
        started = time.perf_counter()
        try:
            text = " ".join(str(question()).split())[:200]
        except nvml.NVMLError as error:
            return {"refused": f"{type(error).__name__}: {error}"}
        seconds.append(time.perf_counter() - started)
    return {
        "answer": text,
        "median ms": round(1e3 * statistics.median(seconds), 3),
        "worst ms": round(1e3 * max(seconds), 3),
    }


def of_driver(lab: Lab) -> None:
    driver = Driver()
    nvml = driver.nvml
    handle = nvml.nvmlDeviceGetHandleByUUID(lab.device.uuid)
    for name, question in questions(nvml, handle, lab.device.uuid).items():
        found = ask(nvml, question)
        lab.data[name] = found
        if "refused" in found:
            lab.find(name, found["refused"])
        else:
            slow = found["worst ms"] > 1e3 * _SLOW
            text = f"{found['median ms']} ms (worst {found['worst ms']}): {found['answer'][:60]}"
            lab.find(name, text, False if slow else None)
    driver.close()


def of_provider(lab: Lab) -> None:
    """Time the provider's own questions, each of which may be several of the driver's."""
    uuid = lab.device.uuid
    asked: dict[str, Callable[[], Any]] = {
        "devices": lab.provider.devices,
        "memory": lambda: lab.provider.memory(uuid),
        "processes": lambda: lab.provider.processes(uuid),
        "health": lambda: lab.provider.health(uuid),
        "faults without waiting": lambda: lab.provider.faults(0.0),
    }
    for name, question in asked.items():
        started = time.perf_counter()
        answer = question()
        ms = 1e3 * (time.perf_counter() - started)
        lab.data[f"provider: {name}"] = {"ms": ms, "answer": str(answer)[:500]}
        lab.find(f"provider: {name}", f"{ms:.2f} ms: {str(answer)[:60]}", ms < 1e3 * _SLOW)
    device = lab.device
    lab.find("index, NUMA node, CPUs", f"{device.index}, {device.numa_node}, {len(device.cpus)}")
    lab.find("mode, MIG parent", f"{device.mode}, {device.mig_parent}")


def main() -> None:
    lab, _ = begin(__doc__, forks=False)
    if not lab.dry:
        of_driver(lab)
    of_provider(lab)
    lab.report("changes of mode, which need an administrator; NVLink")


if __name__ == "__main__":
    main()
