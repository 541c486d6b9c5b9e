"""Yours. What the agent is: its prompt, its words and its tools. An update never touches this folder."""
