"""Run folders: the only room that keeps a training, an evaluation or a prediction on disk.

Its modules are imported by name, so that a training does not wait for what draws reports.
"""
