"""The Dockerfile language: lines, nodes, instructions, words, checks.

Owns text only: nothing here reads a context or runs a command. Start with `lines`.
"""
