"""Voice: phone calls over Twilio ConversationRelay. `tac/` or `relay/` carries them."""
