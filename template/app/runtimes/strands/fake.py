"""Scripted models for Strands."""

from app.runtimes.aws.scripted_strands import played

__all__ = ["played"]
