"""`agent dev`: a tunnel to the server of this machine, and the account's addresses for as long as it runs."""
