"""Twilio's REST APIs, simulated: the products of a conversation, and the control planes that `agent setup` changes."""
