"""The user's own file: csv, tsv, jsonl or parquet."""
