"""Health checks, loaded by the supervisors of containers that have one: probes, verdicts, deeds.

May use: what supervise may.
"""
