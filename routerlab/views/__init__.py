"""Everything with a face: frames, replies, traces, runs, figures, reports, progress.

Import the modules by name; this package itself loads nothing, so that a script without a notebook pays for nothing.
"""
