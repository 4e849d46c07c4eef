"""Metrics: what MongoDB knows of the platform's health, in Prometheus' text format."""
