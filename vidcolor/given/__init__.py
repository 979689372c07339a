"""Colours that the user gives: pictures coloured by hand, and hints; carried through their shots.

Each is a frame whose colours are known, all over or in places. Every other frame of its shot is
matched with it, and takes its colours where the match is good.
"""
