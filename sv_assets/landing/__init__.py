"""Writing what was read: a faithful typed copy of each source row or message, newest version wins."""
