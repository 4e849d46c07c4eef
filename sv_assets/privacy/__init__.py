"""The rights of the people in the view: access, erasure, rectification, restriction, objection, consent, and retention."""
