"""Whether the data is right: what each check looks at, one module an idea, and what came out over time.

A check is a function from what it looks at to a `Result`. Cheap ones look at what has landed, by indexes; those of an audit
also read the source, within its pace, or all that has landed, up to a declared number of rows.
"""
