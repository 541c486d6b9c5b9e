"""Twilio's REST APIs, simulated: what runs a conversation, and what `agent setup` puts in order beforehand."""
