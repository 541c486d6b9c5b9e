"""Scripted models for Strands."""

from app.runtimes.aws.scripted_strands import build_model

__all__ = ["build_model"]
