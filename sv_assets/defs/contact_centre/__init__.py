"""The contact centre."""
