"""``GET /metrics``: the counters as Prometheus text.

Names are llama-server's (``llamacpp:...``) where the meaning is the same, else ``fimble_...``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fimble.engine.wire import Counters

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(counters: Counters, processing: int, deferred: int) -> bytes:
    """The metrics of now; *processing* requests are served, *deferred* ones wait."""
    # Only now: 75 ms that most engines never need.
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Now(Collector):
        def collect(self) -> Iterator[Metric]:
            return _families(counters, processing, deferred)

    registry = CollectorRegistry()
    registry.register(Now())
    return generate_latest(registry)


def _families(counters: Counters, processing: int, deferred: int) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    prompt_s, predicted_s = counters.prompt_ms / 1000, counters.predicted_ms / 1000
    prompt_rate = _ratio(counters.prompt_tokens_evaluated, prompt_s)
    predicted_rate = _ratio(counters.tokens_predicted, predicted_s)
    busy = _ratio(counters.decode_sequences, counters.decodes)
    totals: list[tuple[str, str, float]] = [
        ("llamacpp:prompt_tokens", "Prompt tokens evaluated, without cached ones", counters.prompt_tokens_evaluated),
        ("llamacpp:prompt_tokens_cached", "Prompt tokens found in the cache", counters.prompt_tokens_reused),
        ("llamacpp:prompt_seconds", "Time spent on prompts", prompt_s),
        ("llamacpp:tokens_predicted", "Tokens written", counters.tokens_predicted),
        ("llamacpp:tokens_predicted_seconds", "Time spent writing", predicted_s),
        ("llamacpp:n_decode", "Calls of llama_decode", counters.decodes),
        ("llamacpp:spec_decode_num_draft_tokens", "Guessed tokens that were checked", counters.draft_tokens),
        ("llamacpp:spec_decode_num_accepted_tokens", "Guessed tokens that were right", counters.draft_tokens_accepted),
        ("fimble_requests", "Requests taken", counters.requests),
        ("fimble_requests_cancelled", "Requests that were replaced or whose client went away", counters.cancelled),
        ("fimble_requests_overloaded", "Requests refused because too much waited", counters.overloaded),
        ("fimble_decode_aborts", "Decodes broken off", counters.decode_aborts),
        ("fimble_sequences_put_aside", "Sequences copied out of the cache", counters.put_aside),
        ("fimble_sequences_taken_back", "Sequences copied back", counters.taken_back),
        ("fimble_short_prompts", "Answers that began from a short prompt", counters.short_prompts),
    ]
    gauges: list[tuple[str, str, float]] = [
        ("llamacpp:requests_processing", "Requests that are served", processing),
        ("llamacpp:requests_deferred", "Requests that wait", deferred),
        ("llamacpp:prompt_tokens_seconds", "Prompt tokens per second", prompt_rate),
        ("llamacpp:predicted_tokens_seconds", "Written tokens per second", predicted_rate),
        ("llamacpp:n_busy_slots_per_decode", "Sequences per call of llama_decode", busy),
    ]
    for name, text, value in totals:
        yield CounterMetricFamily(name, text, value=value)
    for name, text, value in gauges:
        yield GaugeMetricFamily(name, text, value=value)


def _ratio(amount: float, of: float) -> float:
    return amount / of if of else 0.0
