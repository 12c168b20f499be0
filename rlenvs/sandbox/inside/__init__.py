"""The side that runs what nobody trusts. Read `zygote` first, then `child`.

These modules run in processes that never load `rlenvs` itself: they import the standard library and each other alone.
Nothing here knows what is expected of the code, and nothing here decides whether it is right.
"""
