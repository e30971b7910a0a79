"""What the intake counts, for Prometheus."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: What becomes of a request.
OUTCOMES: Final = ("accepted", "ping", "bad_signature", "too_large", "shed", "not_stored", "refused")
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True)
class Metrics:
    """The intake's metrics, in a registry of their own."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    commit_events: Histogram
    waiting: Gauge
    connections: Gauge
    log_lines_lost: Gauge


def new_metrics() -> Metrics:
    """Metrics that start at nothing."""
    registry = CollectorRegistry()
    return Metrics(
        registry,
        Counter(
            "retail_webhooks_requests", "Requests by source and outcome.", ["source", "outcome"], registry=registry
        ),
        Histogram(
            "retail_webhooks_seconds",
            "From request to durable answer.",
            ["source"],
            buckets=_SECONDS,
            registry=registry,
        ),
        Histogram(
            "retail_webhooks_commit_events",
            "Events of one transaction.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        ),
        Gauge("retail_webhooks_waiting_events", "Events that wait to be written down.", registry=registry),
        Gauge("retail_webhooks_connections", "Open connections.", registry=registry),
        Gauge("retail_webhooks_log_lines_lost", "Log lines that could not be written.", registry=registry),
    )
