"""Seccomp: from the spec's rules to a program for the kernel, kept once it is compiled.

Never loads a program: that is the last thing init does. Start with `filters`.
"""
