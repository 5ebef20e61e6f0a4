"""How long whole commands take, beside the other engines that are installed.

`make bench`, or `python -m benchmarks --help`. Nothing is asserted: machines differ, and one
machine differs from hour to hour. What counts are ratios of one run, so engines take turns within
each round. Every engine works in a directory of its own that is removed at the end; a Docker daemon
is started for the purpose and stopped.

Start with `rows`, what is measured; `engines` says how each engine is called, `timer` takes times.
"""
