"""`agent setup`: plan, apply, verify and undo the resources of `resources.py` in the project's Twilio account."""
