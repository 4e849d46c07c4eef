"""The single view."""
