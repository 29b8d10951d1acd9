"""Execution-Trace Alignment: judge, trace and compare programs written by models.

Importing the package loads nothing else: the processes inside the jail import single
modules of it and must stay small.  See README.md for the map of the rooms.
"""

__version__ = "0.1.0"
