"""`agent setup`: what this project needs in the Twilio account, planned, made, proved and taken back.

`plan.py` has the machinery. Each capability's module has its resources, listed in `chosen.py`.
"""
