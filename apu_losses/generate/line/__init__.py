"""The production line over any number of images: shards, workers, records."""
