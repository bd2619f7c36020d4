"""Cells on disk, for data sets that are larger than memory (docs/data.md, Larger than memory).

`cell_store.opened` writes a prepared file's matrices once into a folder of plain arrays
(`store_writer`, with a record of their source in `store_record`), and reads it afterwards.
`stored_rows` gives rows of such an array as they are asked for; `elements` reads the parts of a
prepared file without loading its matrices. `placement` estimates the memory that a file would take,
and decides.
"""
