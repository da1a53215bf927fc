"""Many runs ticked by many workers: who has which run is a lease in MongoDB; threads, processes or Dask do the work."""
