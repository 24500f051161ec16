"""One module for each format of weights, or for near twins; the registry finds the rows in them.

``rank`` says in which order they are asked: first those that are known by a mark (0 to 5), then
those of plugins (10), then pickles, which may begin with anything (20), what holds other files (30,
40), and what is left.
"""
