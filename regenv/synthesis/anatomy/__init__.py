"""Anatomies: implicit shapes with random variation, painted as tissues on a canvas.

Functions ``paint_...`` change the canvas that they are given and add to ``landmarks`` points ``(3,)`` by name, in
template mm; what is painted later covers what was painted before. All that is random comes from the subject's seed or
from a generator that is given.
"""
