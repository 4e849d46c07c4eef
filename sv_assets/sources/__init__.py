"""Reading the legacy estate: what comes out are plain records and batches, ready to land."""
