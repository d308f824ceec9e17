"""The only file that imports ``pynvml``: the driver's library, with this package's errors."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from aiotune_gpu.errors import DeviceLost, GpuError, NvmlUnavailable

__all__ = ("Driver",)

T = TypeVar("T")


class Driver:
    """NVML, through the module ``pynvml`` of the distribution ``nvidia-ml-py``.

    Attributes:
        nvml: The module: its functions and constants.

    Raises:
        NvmlUnavailable: There is no driver, it does not fit its library, this
            process may not ask it, or ``pynvml`` is another distribution's.
    """

    def __init__(self) -> None:
        self.nvml = nvml = _module()
        self._lost = {
            nvml.NVML_ERROR_GPU_IS_LOST,
            nvml.NVML_ERROR_RESET_REQUIRED,
            nvml.NVML_ERROR_NOT_FOUND,
        }
        self._gone = {
            nvml.NVML_ERROR_UNINITIALIZED,
            nvml.NVML_ERROR_DRIVER_NOT_LOADED,
            nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        }
        self._untold = {
            nvml.NVML_ERROR_NOT_SUPPORTED,
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            nvml.NVML_ERROR_NO_PERMISSION,
            nvml.NVML_ERROR_NOT_FOUND,
            nvml.NVML_ERROR_INVALID_ARGUMENT,
            nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
            nvml.NVML_ERROR_NO_DATA,
            nvml.NVML_ERROR_UNKNOWN,
        }
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise NvmlUnavailable(f"The NVIDIA driver cannot be asked: {error}.") from error

    def close(self) -> None:
        """Let go of the library; whoever asks afterwards is told that there is no driver."""
        try:
            self.nvml.nvmlShutdown()
        except self.nvml.NVMLError as error:
            if error.value not in self._gone:  # it is let go already
                raise GpuError(f"Letting go of the NVIDIA driver failed: {error}.") from error

    def ask(self, what: str, function: Callable[..., T], *args: Any) -> T:
        """Ask what must have an answer.

        Args:
            what: Whom this is about, for the message.
            function: One of :attr:`nvml`.
            args: Its arguments.

        Raises:
            DeviceLost: The device does not answer, or is not there.
            NvmlUnavailable: The driver is gone.
            GpuError: Anything else.
        """
        try:
            return function(*args)
        except self.nvml.NVMLError as error:
            raise self.translated(what, error) from error

    def ask_handle(self, what: str, function: Callable[..., T], *args: Any) -> T:
        """Ask for a device itself; one that cannot be had, for whatever reason, is lost.

        Besides those of :meth:`ask` there are reasons enough: a container that
        withholds it, a power cable, an interrupt that does not arrive, and the
        unknown error that most drivers speak of a GPU off the bus with.

        Raises:
            DeviceLost: It cannot be had.
            NvmlUnavailable: The driver is gone.
        """
        try:
            return self.ask(what, function, *args)
        except (DeviceLost, NvmlUnavailable):
            raise
        except GpuError as error:
            raise DeviceLost(str(error)) from error

    def optional(self, what: str, function: Callable[..., T], *args: Any) -> T | None:
        """Ask for what a device, a driver or a container may not tell; ``None`` then.

        Raises:
            DeviceLost: The device does not answer.
            NvmlUnavailable: The driver is gone.
            GpuError: Anything else.
        """
        try:
            return function(*args)
        except self.nvml.NVMLError as error:
            if error.value in self._untold:
                return None
            raise self.translated(what, error) from error

    def is_error(self, error: Exception, names: Collection[str]) -> bool:
        """Tell whether an exception is one of NVML's errors, named without ``NVML_ERROR_``."""
        if not isinstance(error, self.nvml.NVMLError):
            return False
        return error.value in {getattr(self.nvml, f"NVML_ERROR_{name}") for name in names}

    def translated(self, what: str, error: Any) -> GpuError:
        """Return this package's error for one of NVML's."""
        text = f"Asking {what} failed: {error}."
        if error.value in self._gone:
            return NvmlUnavailable(f"The NVIDIA driver is gone: {error}.")
        if error.value in self._lost:
            reset = error.value == self.nvml.NVML_ERROR_RESET_REQUIRED
            return DeviceLost(text, reset_required=reset)
        return GpuError(text)


def _module() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise NvmlUnavailable(f"The module pynvml is missing: {error}.") from error
    if not hasattr(pynvml, "_nvmlGetFunctionPointer") or not hasattr(pynvml, "nvmlMemory_v2"):
        raise NvmlUnavailable(
            f"The module pynvml at {getattr(pynvml, '__file__', '?')} is not that of nvidia-ml-py. "
            "Remove the distributions pynvml and nvidia-ml-py3, then install nvidia-ml-py again."
        )
    return pynvml
