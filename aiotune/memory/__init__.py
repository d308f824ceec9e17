"""How much memory a model needs: arithmetic over sizes and observed peaks. Pure; no back end."""

from aiotune.memory._size import LayerSize, MemoryLimit, MemoryPeak, ModelSize

__all__ = ("LayerSize", "MemoryLimit", "MemoryPeak", "ModelSize")
