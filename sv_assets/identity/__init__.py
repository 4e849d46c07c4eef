"""Who is who: party records, the links between them, and customers whose ids are for life."""
