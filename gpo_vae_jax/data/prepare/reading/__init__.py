"""Raw files of every usual format as one AnnData."""
