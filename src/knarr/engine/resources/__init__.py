"""What a container may use of the machine, and what it uses: limits, their support, statistics.

Owns the way from `options.values.Resources` to the runtime spec (`limits`, pure), what is left out
because the kernel lacks it (`support`), room for real-time (`realtime`), changes while a container
runs (`updating`) and figures (`statistics`). Writes no control file of a container itself: that is
`runtime`'s.
"""
