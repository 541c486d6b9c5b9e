"""`agent doctor`: what would keep the agent silent, found before a caller finds it.

One module for each subject; kit/conventions.py finds those of the folders. Each check is a small function.
"""
