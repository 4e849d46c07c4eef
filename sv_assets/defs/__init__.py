"""What this retailer has."""
