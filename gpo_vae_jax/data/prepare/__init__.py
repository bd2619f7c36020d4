"""From raw counts to a prepared AnnData.

`pipeline.prepare` runs the stages in order; `on_disk.prepare_file` does the same from one h5ad file
to another. `raw/` reads and checks the input, `selection` and `knockdown` choose cells, `splits`
assigns them, `quality_stage` annotates them, `differential` and `extended` find responding genes,
`counterfactual` and `matching/` compute what the counterfactual terms of the objective compare
with, `screen_stage` compares guides and kinds of controls, and `stage_log` records what every stage
did.
"""
