"""What the server counts, for Prometheus."""

import importlib.metadata
import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from enroll.result import EnrollmentResult, Issued, Judged, Pending, RevocationResult

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client lets processes share their counts."""

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters and gauges of one process; labels hold fixed words and configured ones, no input."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._exchanges = Counter(
            "enroll_exchanges",
            "HTTP exchanges",
            ("listener", "mount", "status"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "enroll_exchange_seconds",
            "Time from request head to answer",
            ("mount",),
            buckets=LATENCIES,
            registry=self._registry,
        )
        # Looking children up by label costs more than counting.
        self._by_outcome: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._enrollments = Counter(
            "enroll_enrollments",
            "Enrollment decisions",
            ("protocol", "outcome", "reason"),
            registry=self._registry,
        )
        self._webhooks = Histogram(
            "enroll_webhook_seconds",
            "Time from a question to a decision webhook to its answer",
            ("webhook", "outcome"),
            buckets=LATENCIES,
            registry=self._registry,
        )
        self._handshakes = Counter(
            "enroll_handshake_failures",
            "TLS handshakes that came to nothing",
            registry=self._registry,
        )
        self.connections = Gauge(
            "enroll_connections",
            "Open connections",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.crl_age = Gauge(
            "enroll_crl_age_seconds",
            "Age of the latest revocation list",
            ("issuer",),
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self.orders_pending = Gauge(
            "enroll_orders_pending",
            "Orders that wait for a person's decision",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        build = Gauge(
            "enroll_build_info",
            "Version",
            ("version",),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        build.labels(importlib.metadata.version("enrollment-server")).set(1)

    def exchange(self, listener: str, mount: str, status: int, seconds: float) -> None:
        key = (listener, mount, status)
        found = self._by_outcome.get(key)
        if found is None:
            found = (
                self._exchanges.labels(listener, mount, str(status)),
                self._latency.labels(mount),
            )
            self._by_outcome[key] = found
        count, latency = found
        count.inc()
        latency.observe(seconds)

    def enrollment(self, protocol: str, result: EnrollmentResult | RevocationResult) -> None:
        if isinstance(result, Issued):
            outcome, reason = ("repeated" if result.repeated else "issued"), ""
        elif isinstance(result, Pending):
            outcome, reason = "pending", ""
        elif isinstance(result, Judged):
            refused = [each for each in result.refusals if each is not None]
            done = len(refused) < len(result.refusals)
            outcome, reason = ("revoked", "") if done else ("rejected", refused[0].reason.value)
        else:
            outcome, reason = "rejected", result.reason.value
        self._enrollments.labels(protocol, outcome, reason).inc()

    def webhook(self, name: str, outcome: str, seconds: float) -> None:
        """Count a question that was put to a decision webhook."""
        self._webhooks.labels(name, outcome).observe(seconds)

    def handshake_failed(self) -> None:
        self._handshakes.inc()

    def render(self) -> bytes:
        """Give all of it in Prometheus' text format: of several workers, the sum."""
        if MULTIPROCESS_FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # theirs
        return generate_latest(together)
