"""Scripts for the simulator, run by an agent of Agent Framework."""

from app.runtimes.microsoft_agents.scripted_agent import build_model

__all__ = ["build_model"]
