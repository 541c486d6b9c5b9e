"""`agent setup`: plan, apply, verify and undo the resources that this project needs in its Twilio account.

The resources stand in `resources.py` of the folders of `app/`.
"""
