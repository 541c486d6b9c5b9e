"""`agent doctor`: what would keep the agent silent, found before a caller finds it.

One module for each subject; kit/registry.py lists those that this project has. Each check is a small function.
"""
