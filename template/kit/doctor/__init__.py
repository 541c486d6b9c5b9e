"""`agent doctor`: find mistakes that would keep the agent silent.

One module for each subject; kit/conventions.py finds those of the folders. Each check is a small function.
"""
