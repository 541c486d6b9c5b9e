"""A caller and a Twilio that live on this machine. `app/` does not know of them."""
