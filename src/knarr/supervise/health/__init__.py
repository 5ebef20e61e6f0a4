"""Health checks, loaded by the supervisors of containers that have one: probes, verdicts, deeds.

Start with `monitor`.
"""
