"""Looking whether everything is as it should be, and mending it: `system check [--repair]`.

`findings` says what a finding and a check are and runs all of them. Each other module looks at one
side of the engine, compares what is recorded with what is there, and has its checks in a tuple
`CHECKS` that `findings` names.
"""
