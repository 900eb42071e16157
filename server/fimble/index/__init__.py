"""The workspace index: what the other files of a repository define, in a process of its own.

The windows' side is ``client`` and ``launch``; both sides know ``wire`` and ``endpoint``; the rest runs in the process.
"""
