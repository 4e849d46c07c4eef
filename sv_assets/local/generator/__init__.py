"""A believable UK retailer, deterministic by seed: its people, what each legacy system knows of them, and the truth."""
