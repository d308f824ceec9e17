"""What trials measure."""

from aiotune.metrics import MetricHistory, MetricObservation, MetricsTracker
from aiotune.objective import infer_metric_direction

__all__ = ("MetricHistory", "MetricObservation", "MetricsTracker", "infer_metric_direction")
