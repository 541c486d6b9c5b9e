"""Tests of outbound that the template keeps."""
