"""Fraud: signals of each order, rules and an anomaly score over them, and cases that people decide."""
