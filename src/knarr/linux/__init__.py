"""The kernel: one module a facility, one small typed wrapper a call. No policy.

Kernel things keep the kernel's names. Everything raises OSError with a note of the call; what an
errno means to a user is said above. Start with `libc`.
"""
