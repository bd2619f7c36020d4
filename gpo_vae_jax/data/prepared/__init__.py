"""The prepared AnnData (docs/data.md): reading, checking and writing it.

`prepared_file.load` and `from_anndata` return the Dataset. Nothing in a file is believed:
`preparation_record` reads what uns says of the preparation, `cell_fields` the annotation of the
cells, `simulated_truth` the true network; each refuses what preparation cannot have written, and
names the field. `h5ad_access` opens and writes h5ad files, prepared or not; `stored_shapes` looks
at what is stored before anndata reads it.
"""
