"""From raw counts to a prepared AnnData.

`pipeline.prepare` runs the stages in order; `on_disk.prepare_file` does the same from raw files to
an h5ad file. `reading/` opens files of every format, and `raw/` reads and checks what they hold.
`selection` and `knockdown` choose cells, `splits` and `split_stage` assign them, `quality_stage`
annotates them; `differential`, `responsive_genes` and `network_genes` choose the network;
`counterfactual` and `matching/` compute what the counterfactual terms of the objective compare
with; `screen_stage` compares guides and kinds of controls; `stage_log` records what every stage
did.
"""
