"""Runs in AWS Lambda and is deployed alone: it does not import `app/`, and `app/` does not import it."""
