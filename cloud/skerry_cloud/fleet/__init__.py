"""The devices: who they are, what they said last, and whether they are there at all.

``presence`` decides, ``messages`` keeps the latest of each kind, ``devices`` adds, enrols and
removes.
"""
