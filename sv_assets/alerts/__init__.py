"""Alerts: what is wrong, told once to those who own it, and told again when it is mended.

conditions (what is wrong now) ─► alerts in `control.alerts` (since when, told to whom) ─► routes ─► channels
"""
