"""`sv introspect`: what a legacy database has, and the declaration that follows from it.

`found` says what can be found, `on_sql_server` and `on_sqlite` read it. `keys`, `capture`, `pii` and `feeds` each propose one
part of a table's entry, `propose` puts the parts together, `render` and `merge` write them, `drift` compares.
"""
