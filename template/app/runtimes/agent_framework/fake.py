"""Scripts for the simulator, run by an agent of Agent Framework."""

from app.runtimes.microsoft_agents.scripted_agent import played

__all__ = ["played"]
